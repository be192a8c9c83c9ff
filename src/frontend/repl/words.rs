//! Splitting a line into words, with quotes.

use super::parse::ParseError;

/// What follows a command's name on a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rest<'a> {
    /// What was glued to the name after a slash: `4xg` of `x/4xg $rsp`.
    pub format: Option<&'a str>,
    /// The text after the name, trimmed.
    pub text: &'a str,
    /// The command's usage, for messages.
    pub usage: &'static str,
}

impl Rest<'_> {
    /// The words of the text.
    pub fn words(&self) -> Result<Vec<String>, ParseError> {
        split_words(self.text)
    }

    /// A complaint that ends with the usage.
    pub fn wrong(&self, message: impl Into<String>) -> ParseError {
        ParseError::Usage { message: message.into(), usage: self.usage }
    }

    /// The text, which must not be empty.
    pub fn needed(&self, what: &str) -> Result<String, ParseError> {
        if self.text.is_empty() {
            return Err(self.wrong(format!("{what} is missing")));
        }
        Ok(self.text.to_owned())
    }

    /// A number that may be left out.
    pub fn number(&self) -> Result<Option<u32>, ParseError> {
        if self.text.is_empty() {
            return Ok(None);
        }
        self.parse_number(self.text).map(Some)
    }

    /// One word as a number, decimal or 0x.
    pub fn parse_number<N: TryFrom<u64>>(&self, word: &str) -> Result<N, ParseError> {
        let value = match word.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16).ok(),
            None => word.parse().ok(),
        };
        value.and_then(|value| N::try_from(value).ok()).ok_or_else(|| self.wrong(format!("`{word}` is not a number")))
    }
}

/// Words parted by blanks. Single quotes keep all as it is; in double quotes `\"` and `\\` stand for themselves;
/// outside of quotes a backslash is kept, since it is mostly a regex's, unless a blank or a quote follows.
pub fn split_words(text: &str) -> Result<Vec<String>, ParseError> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            c if c.is_whitespace() => words.extend(word.take()),
            '\'' | '"' => {
                let into = word.get_or_insert_default();
                read_quoted(c, &mut chars, into)?;
            }
            '\\' => {
                let into = word.get_or_insert_default();
                match chars.peek() {
                    Some(next) if next.is_whitespace() || *next == '\'' || *next == '"' => into.extend(chars.next()),
                    _ => into.push('\\'),
                }
            }
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

fn read_quoted(
    quote: char,
    chars: &mut std::iter::Peekable<std::str::Chars<'_>>,
    into: &mut String,
) -> Result<(), ParseError> {
    while let Some(c) = chars.next() {
        match c {
            c if c == quote => return Ok(()),
            '\\' if quote == '"' && matches!(chars.peek(), Some('"' | '\\')) => into.extend(chars.next()),
            c => into.push(c),
        }
    }
    Err(ParseError::OpenQuote(quote))
}

/// Text without the quotes around it, when one pair encloses all of it.
pub fn unquote(text: &str) -> &str {
    for quote in ['\'', '"'] {
        if let Some(inner) = text.strip_prefix(quote).and_then(|text| text.strip_suffix(quote)) {
            if !inner.contains(quote) {
                return inner;
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_keep_regexes_and_drop_quotes() {
        let words = split_words(r#"--regex 'a|b c' \bfoo\d+ "x \"y\"" a\ b"#).unwrap();
        assert_eq!(words, ["--regex", "a|b c", r"\bfoo\d+", r#"x "y""#, "a b"]);
        assert_eq!(split_words("''").unwrap(), [""]);
        assert_eq!(split_words("'open"), Err(ParseError::OpenQuote('\'')));
    }

    #[test]
    fn only_one_enclosing_pair_is_dropped() {
        assert_eq!(unquote("'a.*b'"), "a.*b");
        assert_eq!(unquote("'a' 'b'"), "'a' 'b'");
        assert_eq!(unquote("a"), "a");
    }
}
