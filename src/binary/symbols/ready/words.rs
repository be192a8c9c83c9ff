//! The words of a name, as a linker wrote it: every identifier that a plain pattern's last component can be.

use super::super::text::{is_identifier, without_c_clones};

/// Words are looked up by this (FNV-1a). Two with one hash share their rows; the names are tested anyway.
pub(super) fn hash(word: &[u8]) -> u32 {
    word.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// Shorter words are not looked up.
pub(super) const SHORTEST: usize = 3;

/// Whether a name can be looked up as a whole: an identifier of C, which nothing codes.
pub(in super::super) fn is_whole_name(name: &[u8]) -> bool {
    name.len() >= SHORTEST && !name.starts_with(b"_Z") && !name.starts_with(b"_R") && is_word(name)
}

/// Calls `visit` with every word of a name: each identifier behind its length, and what C's name is. These are the places where
/// a whole identifier is looked for in the names themselves (`Whole` in literals.rs); here each length is read, and there it
/// is compared.
pub(super) fn for_each(name: &[u8], mut visit: impl FnMut(&[u8])) {
    if !name.starts_with(b"_Z") && !name.starts_with(b"_R") {
        let plain = std::str::from_utf8(name).map_or(name, |text| without_c_clones(text).as_bytes());
        let stem = name.split(|byte| *byte == b'.').next().unwrap_or_default();
        let mut wholes = vec![name, plain, stem];
        wholes.dedup();
        wholes.into_iter().filter(|word| word.len() >= SHORTEST && is_word(word)).for_each(&mut visit);
    }
    let mut at = 0;
    while let Some(digits) = name[at..].iter().position(u8::is_ascii_digit).map(|skip| at + skip) {
        let end = name[digits..].iter().position(|byte| !byte.is_ascii_digit()).map_or(name.len(), |len| digits + len);
        counted(&name[digits..end], &name[end..], &mut visit);
        at = end;
    }
}

/// The words behind a run of digits. A number of another kind can stand before the length, so each end of the run is tried.
fn counted(digits: &[u8], rest: &[u8], visit: &mut impl FnMut(&[u8])) {
    // Rust's v0 names part a length from what begins with a digit or `_`.
    let parted = rest.strip_prefix(b"_");
    for start in (0..digits.len()).filter(|start| digits[*start] != b'0') {
        let Some(len) = std::str::from_utf8(&digits[start..]).ok().and_then(|text| text.parse::<usize>().ok()) else {
            continue;
        };
        for text in [Some(rest), parted].into_iter().flatten() {
            // Rust's older names count the arguments of a generic: `103drop_in_place$LT$..`.
            let word = text.get(..len).and_then(|text| text.split(|byte| *byte == b'$').next());
            if let Some(word) = word.filter(|word| word.len() >= SHORTEST && is_word(word)) {
                visit(word);
            }
        }
    }
}

fn is_word(text: &[u8]) -> bool {
    text.iter().all(|byte| is_identifier(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(name: &str) -> Vec<String> {
        let mut found = Vec::new();
        for_each(name.as_bytes(), |word| found.push(String::from_utf8(word.to_vec()).unwrap()));
        found
    }

    #[test]
    fn every_identifier_behind_its_length_is_a_word() {
        assert_eq!(words("_ZN5Envoy3Api10OsSysCalls4bindEi"), ["Envoy", "Api", "OsSysCalls", "bind"]);
        assert_eq!(words("_ZN1A13handleRequestE"), ["handleRequest", "han"]);
        assert_eq!(words("_RNvC4core5__main"), ["core", "__mai", "_main"]);
        let drop = "_ZN4core3ptr42drop_in_place$LT$alloc..string..String$GT$17h0123456789abcdefE";
        assert_eq!(words(drop), ["core", "ptr", "drop_in_place", "h0123456789abcdef", "h012345"]);
    }

    #[test]
    fn a_name_of_c_is_one_word() {
        assert_eq!(words("epoll_wait"), ["epoll_wait"]);
        assert_eq!(words("handle.isra.0"), ["handle"]);
        assert_eq!(words("f"), Vec::<String>::new());
        assert!(is_whole_name(b"main") && !is_whole_name(b"_ZN1AE") && !is_whole_name(b"main.main"));
    }
}
