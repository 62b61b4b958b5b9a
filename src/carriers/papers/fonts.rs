//! The fonts that papers are written in, and text in them. What a person or a product is called may be in any script, so
//! whatever the first font lacks is taken from the next.

use std::io::Read as _;
use std::sync::LazyLock;

use harfrust::{Direction, FontRef, ShapeOptions, ShaperData, UnicodeBuffer};
use krilla::text::{Font, GlyphId, KrillaGlyph};
use skrifa::MetadataProvider;
use unicode_bidi::BidiInfo;

/// DejaVu Sans is a joy to read, and GNU Unifont has all of the basic plane and much beyond. Licences stand beside them.
const PACKED: [&[u8]; 3] = [
    include_bytes!("../../../assets/fonts/DejaVuSans.ttf.gz"),
    include_bytes!("../../../assets/fonts/unifont.otf.gz"),
    include_bytes!("../../../assets/fonts/unifont_upper.otf.gz"),
];

struct Typeface {
    font: Font,
    face: FontRef<'static>,
    shaper: ShaperData,
}

/// Unpacked when the first paper is drawn, and kept.
static TYPEFACES: LazyLock<Vec<Typeface>> = LazyLock::new(|| PACKED.iter().map(|packed| typeface(packed)).collect());

fn typeface(packed: &[u8]) -> Typeface {
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(packed).read_to_end(&mut bytes).expect("it was packed whole");
    let bytes: &'static [u8] = bytes.leak();
    let font = Font::new(bytes.into(), 0).expect("it is a font");
    let face = FontRef::new(bytes).expect("it is a font");
    Typeface { font, shaper: ShaperData::new(&face), face }
}

/// Text in one font and direction.
pub struct Run {
    pub font: Font,
    pub text: String,
    pub glyphs: Vec<KrillaGlyph>,
    /// In units of the font's size
    pub width: f32,
}

/// A line of text as it is drawn, from left to right.
pub struct Line {
    pub runs: Vec<Run>,
    /// In units of the font's size
    pub width: f32,
}

impl Line {
    pub fn new(text: &str) -> Self {
        // Control characters have no looks, and would have a box.
        let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let bidi = BidiInfo::new(&text, None);
        let mut runs = Vec::new();
        for paragraph in &bidi.paragraphs {
            let (levels, ranges) = bidi.visual_runs(paragraph, paragraph.range.clone());
            for range in ranges {
                let is_rtl = levels[range.start].is_rtl();
                let mut parts: Vec<Run> =
                    by_font(&text[range]).into_iter().map(|(n, part)| shape(&TYPEFACES[n], part, is_rtl)).collect();
                if is_rtl {
                    parts.reverse();
                }
                runs.extend(parts);
            }
        }
        let width = runs.iter().map(|run| run.width).sum();
        Self { runs, width }
    }
}

/// Parts of a text, each with the first font that has all of it. What is no letter stays with what is before it, if it can.
fn by_font(text: &str) -> Vec<(usize, &str)> {
    let has = |font: usize, c: char| TYPEFACES[font].face.charmap().map(c).is_some();
    let mut parts: Vec<(usize, usize)> = Vec::new();
    for (at, c) in text.char_indices() {
        let current = parts.last().map(|(font, _)| *font);
        let stays = current.filter(|font| !c.is_alphanumeric() && has(*font, c));
        let first = || (0..TYPEFACES.len()).find(|font| has(*font, c)).or(current).unwrap_or_default();
        let font = stays.unwrap_or_else(first);
        if current != Some(font) {
            parts.push((font, at));
        }
    }
    let ends = parts.iter().skip(1).map(|(_, at)| *at).chain([text.len()]);
    parts.iter().zip(ends).map(|((font, start), end)| (*font, &text[*start..end])).collect()
}

fn shape(typeface: &Typeface, text: &str, is_rtl: bool) -> Run {
    let mut buffer = UnicodeBuffer::new();
    buffer.push_str(text);
    buffer.guess_segment_properties();
    buffer.set_direction(if is_rtl { Direction::RightToLeft } else { Direction::LeftToRight });
    let shaper = typeface.shaper.shaper(&typeface.face).build();
    let shaped = shaper.shape(buffer, ShapeOptions::new());
    let clusters: Vec<usize> = shaped.glyph_infos().iter().map(|info| info.cluster as usize).collect();
    let em = shaper.units_per_em() as f32;
    let glyphs = shaped.glyph_infos().iter().zip(shaped.glyph_positions()).map(|(info, position)| {
        let start = info.cluster as usize;
        // Where the next cluster of the text begins.
        let end = clusters.iter().copied().filter(|cluster| *cluster > start).min().unwrap_or(text.len());
        KrillaGlyph::new(
            GlyphId::new(info.glyph_id),
            position.x_advance as f32 / em,
            position.x_offset as f32 / em,
            position.y_offset as f32 / em,
            position.y_advance as f32 / em,
            start..end,
            None,
        )
    });
    let glyphs: Vec<KrillaGlyph> = glyphs.collect();
    let width = shaped.glyph_positions().iter().map(|position| position.x_advance as f32 / em).sum();
    Run { font: typeface.font.clone(), text: text.to_owned(), glyphs, width }
}

/// A text as lines that are no wider than `width` (in units of the font's size): broken between words, and words that are wider
/// anywhere.
pub fn wrap(text: &str, width: f32) -> Vec<String> {
    let fits = |text: &str| Line::new(text).width <= width;
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let longer = if line.is_empty() { word.to_owned() } else { format!("{line} {word}") };
        if fits(&longer) {
            line = longer;
            continue;
        }
        if !line.is_empty() {
            lines.push(std::mem::take(&mut line));
        }
        for c in word.chars() {
            line.push(c);
            if line.chars().count() > 1 && !fits(&line) {
                line.pop();
                lines.push(std::mem::replace(&mut line, c.to_string()));
            }
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_script_has_a_font() {
        for text in ["Zoë Ångström", "Яна", "李小龍", "محمد", "שרה", "ปราณี", "अनीता", "김민준", "😀", "𝄞"]
        {
            let line = Line::new(text);
            let missing = line.runs.iter().flat_map(|run| &run.glyphs).any(|glyph| glyph.glyph_id.to_u32() == 0);
            assert!(line.width > 0.0 && !missing, "{text}");
        }
        let fonts: Vec<usize> = by_font("Li 李, Li").into_iter().map(|(font, _)| font).collect();
        assert_eq!(fonts, [0, 1, 0]);
    }

    #[test]
    fn what_is_read_from_the_right_stands_on_the_right() {
        let line = Line::new("Levi כהן 5");
        let texts: Vec<&str> = line.runs.iter().map(|run| run.text.as_str()).collect();
        assert_eq!(texts.concat().len(), "Levi כהן 5".len());
        assert!(texts[0].starts_with("Levi"), "{texts:?}");
    }

    #[test]
    fn lines_are_broken_between_words_or_else_anywhere() {
        assert_eq!(wrap("a bb  ccc", 3.0), ["a bb", "ccc"]);
        let long = "W".repeat(50);
        let lines = wrap(&long, 5.0);
        assert!(lines.len() > 5 && lines.concat() == long);
        assert!(lines.iter().all(|line| Line::new(line).width <= 5.0));
        assert_eq!(wrap("   ", 5.0), Vec::<String>::new());
    }
}
