//! Text by others, as people may be shown it.

use crate::prelude::*;

/// Text by others on one line, in which no character does anything but be seen. What breaks a line, moves a cursor, changes a
/// colour, turns the direction of writing or has no shape is written as Rust escapes it: `\n`, `\u{202e}`.
///
/// Nor does the line give orders to a CI system that keeps it in a log. GitHub takes them from lines that begin with `::`;
/// GitHub, Azure Pipelines and others take them after `##`, wherever that stands in a line. So the first of two leading
/// colons and the second of two number signs are escaped too.
///
/// The result is its own result.
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    let mut is_leading = text.trim_start_matches(' ').starts_with("::");
    let mut before = ' ';
    for character in text.chars() {
        let is_order = (is_leading && character == ':') || (before == '#' && character == '#');
        if is_order || !is_plain(character) {
            match character {
                '\n' | '\r' | '\t' => line.extend(character.escape_default()),
                _ => line.extend(character.escape_unicode()),
            }
        } else {
            line.push(character);
        }
        is_leading &= character == ' ';
        before = character;
    }
    line
}

/// Whether a character is seen where it stands, and does nothing else.
fn is_plain(character: char) -> bool {
    match character {
        ' '..='~' => true,
        '\0'..='\u{9f}' => false,
        _ => !is_shapeless(character) && is_printable(character),
    }
}

/// Of the general categories Cc, Cf, Co, Cn, Zl and Zp, and of Zs all but the space, the standard library says that they are
/// not printable. A mark that joins the character before it is, and so it is asked about together with one.
fn is_printable(character: char) -> bool {
    let joined = format!("x{character}");
    joined.escape_debug().eq(joined.chars())
}

/// What is printable by its category, and yet has no shape: joiners, fillers and selectors of variants (Unicode's property
/// `Default_Ignorable_Code_Point`), and the blank pattern of Braille.
fn is_shapeless(character: char) -> bool {
    matches!(
        character,
        '\u{34f}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{2800}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{ffa0}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_stays() {
        // Composed and decomposed, right-to-left, with marks, and beyond the first plane.
        for plain in [
            "",
            "a b",
            "h\u{e9}",
            "he\u{301}",
            "שלום",
            "ไทย",
            "日本",
            "😀",
            "a::b",
            "a # b#",
            "\\n",
            "'\"`<&>",
        ] {
            assert_eq!(one_line(plain), plain);
        }
    }

    #[test]
    fn what_does_something_is_escaped() {
        for (text, shown) in [
            ("a\nb\r\tc", "a\\nb\\r\\tc"),
            ("\u{1b}[31mred\u{7f}\u{9b}\0", "\\u{1b}[31mred\\u{7f}\\u{9b}\\u{0}"),
            ("\u{202e}\u{2066}\u{200f}\u{61c}", "\\u{202e}\\u{2066}\\u{200f}\\u{61c}"),
            ("\u{2028}\u{2029}\u{85}", "\\u{2028}\\u{2029}\\u{85}"),
            ("\u{200b}\u{2060}\u{feff}\u{ad}", "\\u{200b}\\u{2060}\\u{feff}\\u{ad}"),
            (
                "\u{e0041}\u{fe0f}\u{3164}\u{34f}",
                "\\u{e0041}\\u{fe0f}\\u{3164}\\u{34f}",
            ),
            ("\u{e000}\u{378}\u{a0}", "\\u{e000}\\u{378}\\u{a0}"),
        ] {
            assert_eq!(one_line(text), shown);
        }
    }

    #[test]
    fn a_ci_system_is_given_no_orders() {
        for (text, shown) in [
            ("::error::x", "\\u{3a}:error::x"),
            ("  ::error::x", "  \\u{3a}:error::x"),
            ("\n::error::x", "\\n::error::x"),
            ("a ##[error]x", "a #\\u{23}[error]x"),
            ("###vso[x]", "#\\u{23}\\u{23}vso[x]"),
            ("#\u{200b}#[x]", "#\\u{200b}#[x]"),
        ] {
            assert_eq!(one_line(text), shown);
            assert_eq!(one_line(shown), shown);
        }
    }
}
