//! Code 128 barcodes. Pure.

use barcoders::sym::code128::Code128;

/// The bars of a text, of its width as a whole: where each begins and how wide it is, in modules; and the width of all of it.
/// None for a text that has other characters than the visible ones of ASCII and spaces, and for none.
pub fn bars(text: &str) -> Option<(Vec<(usize, usize)>, usize)> {
    if text.is_empty() || !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return None;
    }
    let modules = Code128::new(coded(text)).ok()?.encode();
    let mut bars: Vec<(usize, usize)> = Vec::new();
    for (at, _) in modules.iter().enumerate().filter(|(_, module)| **module == 1) {
        match bars.last_mut() {
            Some((start, width)) if *start + *width == at => *width += 1,
            _ => bars.push((at, 1)),
        }
    }
    Some((bars, modules.len()))
}

/// With the names of its character sets: digits go in pairs, in set C, and all else in set B.
fn coded(text: &str) -> String {
    let is_number = text.len() > 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    match (is_number, text.len() % 2) {
        (true, 0) => format!("\u{0106}{text}"),
        (true, _) => format!("\u{0181}{}\u{0106}{}", &text[..1], &text[1..]),
        (false, _) => format!("\u{0181}{text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_take_half_the_room() {
        let width = |text: &str| bars(text).map(|(_, width)| width);
        // Start, check and stop take 35 modules, and a character or a pair of digits 11.
        assert_eq!(width("1234"), Some(35 + 2 * 11));
        assert_eq!(width("12345"), Some(35 + 4 * 11));
        assert_eq!(width("AB12"), Some(35 + 4 * 11));
        assert_eq!((width(""), width("é"), width("a\n")), (None, None, None));
        let (bars, width) = bars("1Z 999/~").unwrap();
        assert!(bars.iter().all(|(_, width)| (1..=4).contains(width)));
        assert_eq!(bars.last().map(|(start, bar)| start + bar), Some(width));
    }
}
