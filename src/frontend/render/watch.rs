//! Watchpoints as text.

use crate::api::{WatchAccess, WatchHit, WatchSpec};

/// `watch counter`, as it would be typed.
pub fn watch_text(spec: &WatchSpec) -> String {
    let command = match spec.access {
        WatchAccess::Change => "watch",
        WatchAccess::Write => "watch --every",
        WatchAccess::Read => "rwatch",
        WatchAccess::Any => "awatch",
    };
    let length = spec.length.map(|length| format!(" {length}")).unwrap_or_default();
    format!("{command} {}{length}", spec.expression)
}

/// `Watchpoint 2, counter: 5 (0x5) -> 6 (0x6)`, one a line.
pub fn watch_hits_text(hits: &[WatchHit]) -> String {
    let one = |hit: &WatchHit| {
        let (old, new) = (value_text(hit.old.as_deref()), value_text(hit.new.as_deref()));
        let seen = match hit.access {
            WatchAccess::Read => format!("read {new}"),
            WatchAccess::Any if hit.old == hit.new => format!("accessed, {new}"),
            WatchAccess::Write if hit.old == hit.new => format!("written again, {new}"),
            _ => format!("{old} -> {new}"),
        };
        format!("Watchpoint {}, {}: {seen}", hit.id, hit.expression)
    };
    hits.iter().map(one).collect::<Vec<_>>().join("\n")
}

/// A little-endian number where the bytes are as many as one has, else the bytes.
fn value_text(bytes: Option<&[u8]>) -> String {
    let Some(bytes) = bytes else { return "<cannot be read>".to_owned() };
    let mut word = [0; 8];
    match (bytes.len(), word.get_mut(..bytes.len())) {
        (1 | 2 | 4 | 8, Some(low)) => {
            low.copy_from_slice(bytes);
            let value = u64::from_le_bytes(word);
            let unused = 64 - 8 * bytes.len() as u32;
            let signed = ((value << unused) as i64) >> unused;
            format!("{signed} ({value:#x})")
        }
        _ => bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::VirtAddr;

    fn hit(access: WatchAccess, old: &[u8], new: &[u8]) -> WatchHit {
        let (old, new) = (Some(old.to_vec()), Some(new.to_vec()));
        WatchHit { id: 2, expression: "counter".into(), access, at: VirtAddr(0x1000), old, new }
    }

    #[test]
    fn values_are_shown_as_numbers_of_their_size() {
        let text = |access, old: &[u8], new: &[u8]| watch_hits_text(&[hit(access, old, new)]);
        assert_eq!(text(WatchAccess::Change, &[5, 0], &[255, 255]), "Watchpoint 2, counter: 5 (0x5) -> -1 (0xffff)");
        assert_eq!(text(WatchAccess::Read, &[6], &[6]), "Watchpoint 2, counter: read 6 (0x6)");
        assert_eq!(text(WatchAccess::Any, &[1, 2, 3], &[1, 2, 3]), "Watchpoint 2, counter: accessed, 01 02 03");
        let spec = WatchSpec { expression: "counter".into(), length: Some(4), access: WatchAccess::Read };
        assert_eq!(watch_text(&spec), "rwatch counter 4");
    }
}
