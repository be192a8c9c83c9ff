//! Texts that cannot harm a terminal: names and strings come from the program that is debugged.

use super::style::Style;

/// The text with control characters written out, `\x1b` say; newlines and tabs stay, and so do our own colours.
pub fn make_safe(text: &str, style: Style) -> String {
    if !text.chars().any(|c| c.is_control() && c != '\n') {
        return text.to_owned();
    }
    let mut safe = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let colour = if style == Style::Colour { colour_length(rest) } else { 0 };
        if colour > 0 {
            safe.push_str(&rest[..colour]);
            rest = &rest[colour..];
            continue;
        }
        match c {
            '\n' | '\t' => safe.push(c),
            c if c.is_control() => safe.push_str(&format!("\\x{:02x}", c as u32)),
            c => safe.push(c),
        }
        rest = &rest[c.len_utf8()..];
    }
    safe
}

/// The length of the colour (`ESC [ digits m`) that the text begins with; 0 where it begins with none.
fn colour_length(text: &str) -> usize {
    let Some(tail) = text.strip_prefix("\x1b[") else { return 0 };
    let digits = tail.find(|c: char| !c.is_ascii_digit() && c != ';').unwrap_or(tail.len());
    if tail[digits..].starts_with('m') {
        2 + digits + 1
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_colours_reach_the_terminal() {
        assert_eq!(make_safe("a\nb\tc", Style::Plain), "a\nb\tc");
        assert_eq!(make_safe("\x1b]0;title\x07\r\u{9b}2J", Style::Colour), "\\x1b]0;title\\x07\\x0d\\x9b2J");
        assert_eq!(make_safe("\x1b[31mred\x1b[2J", Style::Colour), "\x1b[31mred\\x1b[2J");
        assert_eq!(make_safe("\x1b[31mred", Style::Plain), "\\x1b[31mred");
    }
}
