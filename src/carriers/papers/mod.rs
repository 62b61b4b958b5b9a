//! Labels and packing slips, as PDF. Pure: the same paper is made of the same bytes.

mod code128;
mod fonts;
mod label;
mod slip;

use krilla::Document;
use krilla::geom::{PathBuilder, Point, Rect};
use krilla::metadata::Metadata;
use krilla::page::PageSettings;
use krilla::surface::Surface;

use crate::warehouses::Address;
use fonts::{Line, wrap};

pub use label::{LabelPaper, label};
pub use slip::{Slip, SlipLine, slip};

/// From one line to the next, in units of the font's size.
const LEADING: f32 = 1.25;

/// Beside a barcode, so many modules stay white.
const QUIET: usize = 10;

/// The widest module of a barcode, in points.
const WIDEST: f32 = 1.4;

/// Somebody, and where he is.
#[derive(Clone, Debug)]
pub struct Party {
    pub name: Option<String>,
    pub address: Address,
}

impl Party {
    /// As on an envelope.
    pub fn lines(&self) -> Vec<String> {
        let Address { line1, line2, city, region, postal_code, country, .. } = &self.address;
        let town = [postal_code, city].into_iter().flatten().cloned().collect::<Vec<_>>().join(" ");
        let lines = [self.name.clone(), line1.clone(), line2.clone(), Some(town), region.clone(), country.clone()];
        lines.into_iter().flatten().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
    }
}

enum Mark {
    Text {
        left: f32,
        base: f32,
        size: f32,
        line: Line,
    },
    /// Filled
    Boxes(Vec<Rect>),
}

/// Sheets of one size, in points from the top left. What was turned over stays as it is, but for what is written at the foot.
struct Paper {
    width: f32,
    height: f32,
    sheets: Vec<Vec<Mark>>,
}

impl Paper {
    fn new(width: f32, height: f32) -> Self {
        Self { width, height, sheets: vec![Vec::new()] }
    }

    fn turn(&mut self) {
        self.sheets.push(Vec::new());
    }

    fn mark(&mut self, mark: Mark) {
        self.sheets.last_mut().expect("there is a first sheet").push(mark);
    }

    /// A line of text that stands on `base`.
    fn text(&mut self, left: f32, base: f32, size: f32, text: &str) {
        self.mark(Mark::Text { left, base, size, line: Line::new(text) });
    }

    /// A line of text that ends at `right`.
    fn text_to(&mut self, right: f32, base: f32, size: f32, text: &str) {
        let line = Line::new(text);
        self.mark(Mark::Text { left: right - line.width * size, base, size, line });
    }

    /// A line in the middle of `width`, smaller where it is too long.
    fn centred(&mut self, left: f32, width: f32, base: f32, size: f32, text: &str) {
        let line = Line::new(text);
        let size = size.min(width / line.width.max(0.01));
        self.mark(Mark::Text { left: left + (width - line.width * size) / 2.0, base, size, line });
    }

    /// Lines of text in a box, broken, and smaller where they are too many; says where the next could stand.
    fn block(&mut self, left: f32, top: f32, (width, height): (f32, f32), size: f32, lines: &[String]) -> f32 {
        let broken = |size: f32| lines.iter().flat_map(|line| wrap(line, width / size)).collect::<Vec<_>>();
        let smaller = |size: &f32| (*size > 4.0).then_some(size - 0.5);
        let sizes = std::iter::successors(Some(size), smaller).map(|size| (size, broken(size)));
        let fits = |(size, lines): &(f32, Vec<String>)| lines.len() as f32 * size * LEADING <= height || *size <= 4.0;
        let (size, lines) = sizes.into_iter().find(fits).expect("the smallest is taken");
        for (n, line) in lines.iter().enumerate() {
            self.text(left, top + size + n as f32 * size * LEADING, size, line);
        }
        top + lines.len() as f32 * size * LEADING
    }

    fn rule(&mut self, left: f32, top: f32, width: f32, thickness: f32) {
        let rect = Rect::from_xywh(left, top, width, thickness);
        self.mark(Mark::Boxes(rect.into_iter().collect()));
    }

    /// A barcode in the middle of `width`; says whether the text can be one.
    fn barcode(&mut self, left: f32, top: f32, (width, height): (f32, f32), text: &str) -> bool {
        let Some((bars, modules)) = code128::bars(text) else { return false };
        let module = WIDEST.min(width / (modules + 2 * QUIET) as f32);
        let left = left + (width - module * modules as f32) / 2.0;
        let bars = bars
            .into_iter()
            .filter_map(|(start, bar)| Rect::from_xywh(left + module * start as f32, top, module * bar as f32, height));
        self.mark(Mark::Boxes(bars.collect()));
        true
    }

    /// Writes at the foot of each sheet which one it is.
    fn number(&mut self, right: f32, base: f32, size: f32, name: &str) {
        let all = self.sheets.len();
        for (n, sheet) in self.sheets.iter_mut().enumerate() {
            let line = Line::new(&format!("{name}, page {} of {all}", n + 1));
            sheet.push(Mark::Text { left: right - line.width * size, base, size, line });
        }
    }

    fn into_pdf(self, title: &str) -> Vec<u8> {
        let mut document = Document::new();
        document.set_metadata(Metadata::new().title(title.to_owned()).creator("stockhold".to_owned()));
        for sheet in self.sheets {
            let settings = PageSettings::from_wh(self.width, self.height).expect("sheets have a size");
            let mut page = document.start_page_with(settings);
            let mut surface = page.surface();
            sheet.iter().for_each(|mark| mark.draw(&mut surface));
            surface.finish();
            page.finish();
        }
        document.finish().expect("nothing is in it that a PDF cannot have")
    }
}

impl Mark {
    fn draw(&self, surface: &mut Surface<'_>) {
        match self {
            Self::Text { left, base, size, line } => {
                let mut at = *left;
                for run in &line.runs {
                    let start = Point::from_xy(at, *base);
                    surface.draw_glyphs(start, &run.glyphs, run.font.clone(), &run.text, *size, false);
                    at += run.width * size;
                }
            }
            Self::Boxes(rects) => {
                let mut path = PathBuilder::new();
                rects.iter().for_each(|rect| path.push_rect(*rect));
                if let Some(path) = path.finish() {
                    surface.draw_path(&path);
                }
            }
        }
    }
}
