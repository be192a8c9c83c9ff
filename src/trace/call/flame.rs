//! A flame graph: an SVG of its own, without a script. A frame is as wide as its share of the calls, stands on its caller,
//! and tells its name and number when it is pointed at.

use std::fmt::Write;

use super::folded::Folded;

/// Pixels.
const WIDTH: f64 = 1400.0;
const ROW: f64 = 17.0;
const MARGIN: f64 = 10.0;
const HEAD: f64 = 40.0;
/// A letter of the font is about so wide.
const LETTER: f64 = 6.7;
/// Narrower frames are not drawn: nobody sees them.
const NARROWEST: f64 = 0.3;

/// A frame and what it calls.
#[derive(Default)]
struct Frame<'a> {
    name: &'a str,
    count: u64,
    callees: Vec<Frame<'a>>,
}

/// The whole file.
pub fn draw(folded: &Folded) -> String {
    let mut root = Frame { name: "all calls", ..Frame::default() };
    for (path, count) in folded.stacks() {
        root.add(path, count);
    }
    let depth = root.depth();
    let height = HEAD + depth as f64 * ROW + MARGIN;
    let mut svg = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" font-family=\"monospace\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fdfdf6\"/>\n\
         <text x=\"{}\" y=\"22\" text-anchor=\"middle\" font-size=\"15\">{} calls by thread and stack</text>\n",
        WIDTH / 2.0,
        root.count
    );
    let scale = (WIDTH - 2.0 * MARGIN) / root.count.max(1) as f64;
    let canvas = Canvas { scale, bottom: height - MARGIN, total: root.count };
    canvas.frame(&mut svg, &root, MARGIN, 1);
    svg.push_str("</svg>\n");
    svg
}

impl<'a> Frame<'a> {
    fn add(&mut self, path: &'a [String], count: u64) {
        self.count += count;
        let Some((first, rest)) = path.split_first() else { return };
        // Paths come sorted: a frame's callees stand together.
        if self.callees.last().is_none_or(|one| one.name != first) {
            self.callees.push(Frame { name: first, ..Frame::default() });
        }
        if let Some(callee) = self.callees.last_mut() {
            callee.add(rest, count);
        }
    }

    fn depth(&self) -> usize {
        1 + self.callees.iter().map(Frame::depth).max().unwrap_or(0)
    }
}

struct Canvas {
    scale: f64,
    bottom: f64,
    total: u64,
}

impl Canvas {
    fn frame(&self, svg: &mut String, frame: &Frame<'_>, x: f64, level: u32) {
        let width = frame.count as f64 * self.scale;
        if width < NARROWEST {
            return;
        }
        let y = self.bottom - f64::from(level) * ROW;
        let share = 100.0 * frame.count as f64 / self.total.max(1) as f64;
        let name = escape(frame.name);
        let _ = writeln!(
            svg,
            "<g><title>{name}: {} calls, {share:.1}%</title><rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{}\" rx=\"1\" \
             fill=\"{}\"/>",
            frame.count,
            (width - 0.5).max(0.2),
            ROW - 1.0,
            colour(frame.name)
        );
        let letters = ((width - 6.0) / LETTER) as usize;
        if letters >= 3 {
            let _ = writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                x + 3.0,
                y + 12.0,
                escape(&cut(frame.name, letters))
            );
        }
        svg.push_str("</g>\n");
        let mut left = x;
        for callee in &frame.callees {
            self.frame(svg, callee, left, level + 1);
            left += callee.count as f64 * self.scale;
        }
    }
}

/// As much of a name as there is room for: its end tells functions of one class apart.
fn cut(name: &str, letters: usize) -> String {
    let length = name.chars().count();
    if length <= letters {
        return name.to_owned();
    }
    let kept: String = name.chars().skip(length - (letters - 2)).collect();
    format!("..{kept}")
}

/// A warm colour that is always the same for a name (FNV-1a).
fn colour(name: &str) -> String {
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    format!("rgb({},{},{})", 215 + hash % 40, 105 + (hash >> 16) % 115, 40 + (hash >> 32) % 50)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_as_wide_as_its_calls_and_names_are_escaped() {
        let paths: Vec<Vec<String>> = [["main", "f<int>"], ["main", "g"]]
            .iter()
            .map(|path| path.iter().map(|one| (*one).to_owned()).collect())
            .collect();
        let mut root = Frame { name: "all", ..Frame::default() };
        root.add(&paths[0], 3);
        root.add(&paths[1], 1);
        assert_eq!((root.count, root.callees.len(), root.depth()), (4, 1, 3));
        assert_eq!(root.callees[0].callees.iter().map(|one| one.count).collect::<Vec<_>>(), [3, 1]);
        assert_eq!(escape("f<int> & \"g\""), "f&lt;int&gt; &amp; &quot;g&quot;");
        assert_eq!((cut("abcdef", 4), cut("ab", 4)), ("..ef".into(), "ab".into()));
    }
}
