//! The paper: A4, landscape. Pages are drawn one after the other and kept compressed; in the end they are put in order and
//! numbered. Lengths are points (1/72 inch), and `y` grows upwards.

use std::io::Write;

use flate2::{Compression, write::ZlibEncoder};
use jiff::Timestamp;
use pdf_writer::{Content, Name, Pdf, Ref, Settings, Str, types::TextRenderingMode};

use super::{
    font,
    object::{self, Value},
    text::{Face, Fonts, Line, Weight},
};

pub(super) struct Paper {
    pub(super) fonts: Fonts,
    /// Where the next thing goes on this page.
    pub(super) y: f32,
    pdf: Pdf,
    next: Ref,
    content: Content,
    pen: Pen,
    turned: Vec<Drawn>,
}

/// A page that is full.
pub(super) struct Drawn(Ref);

/// What a report says of itself.
pub(super) struct Imprint<'a> {
    pub(super) title: &'a str,
    pub(super) made: Timestamp,
}

/// Red, green, blue.
pub(super) type Ink = [f32; 3];

/// What the last operations of the page left set.
#[derive(Default)]
struct Pen {
    font: Option<(Face, f32)>,
    ink: Option<Ink>,
    /// Around the letters, where they are thickened.
    rim: Option<Ink>,
}

impl Paper {
    pub(super) fn new(fonts: Fonts) -> Paper {
        Paper {
            fonts,
            y: TOP,
            pdf: Pdf::with_settings(COMPACT),
            next: Ref::new(FIRST_FREE),
            content: Content::with_settings(COMPACT),
            pen: Pen::default(),
            turned: Vec::new(),
        }
    }

    #[inline(never)]
    pub(super) fn write(&mut self, [x, y]: [f32; 2], line: &Line, size: f32, ink: Ink) {
        if line.glyphs.is_empty() {
            return;
        }
        self.dip(ink);
        self.content.begin_text();
        self.content.set_text_matrix([1.0, 0.0, 0.0, 1.0, round(x), round(y)]);
        for run in line.glyphs.chunk_by(|one, next| one.face == next.face) {
            let face = run[0].face;
            self.take(face, size, ink);
            let codes: Vec<u8> = match face {
                Face::Given | Face::GivenBold => run.iter().flat_map(|glyph| glyph.code.to_be_bytes()).collect(),
                Face::Helvetica | Face::HelveticaBold => run.iter().map(|glyph| glyph.code as u8).collect(),
            };
            self.content.show(Str(&codes));
        }
        self.content.end_text();
    }

    /// A text in one line from `x` on.
    #[inline(never)]
    pub(super) fn label(&mut self, at: [f32; 2], text: &str, size: f32, ink: Ink) {
        let line = self.fonts.line(text, Weight::Regular);
        self.write(at, &line, size, ink);
    }

    /// A text in one line that ends at `x`.
    #[inline(never)]
    pub(super) fn label_before(&mut self, [x, y]: [f32; 2], text: &str, size: f32, ink: Ink) {
        let line = self.fonts.line(text, Weight::Regular);
        self.write([x - line.width(size), y], &line, size, ink);
    }

    /// A box from its lower left corner.
    #[inline(never)]
    pub(super) fn fill(&mut self, [x, y]: [f32; 2], [width, height]: [f32; 2], ink: Ink) {
        self.dip(ink);
        self.content.rect(round(x), round(y), round(width), round(height)).fill_nonzero();
    }

    /// A line over the width of the page.
    pub(super) fn rule(&mut self, y: f32, thickness: f32, ink: Ink) {
        self.fill([LEFT, y], [WIDTH, thickness], ink);
    }

    /// What is left of this page.
    pub(super) fn room(&self) -> f32 {
        self.y - BOTTOM
    }

    /// Begins the next page.
    pub(super) fn turn(&mut self) {
        if self.pen.rim.is_some() {
            // The footer is a stream that goes on where this one ends.
            self.content.set_text_rendering_mode(TextRenderingMode::Fill);
        }
        let content = std::mem::replace(&mut self.content, Content::with_settings(COMPACT));
        let id = self.next.bump();
        object::write_stream(&mut self.pdf, id, &compressed(&content.finish()), &[]);
        self.turned.push(Drawn(id));
        self.pen = Pen::default();
        self.y = TOP;
    }

    /// Ends the part of the report that was drawn so far, which is pages of their own.
    pub(super) fn end_part(&mut self) -> Vec<Drawn> {
        if self.content.len() > 0 {
            self.turn();
        }
        std::mem::take(&mut self.turned)
    }

    /// The file: `pages` in this order, with bookmarks to some of them by their places.
    pub(super) fn finish(
        mut self,
        pages: &[Drawn],
        bookmarks: &[(&str, usize)],
        imprint: &Imprint<'_>,
    ) -> Result<Vec<u8>, font::Error> {
        let mut kids = Vec::with_capacity(pages.len());
        for (before, Drawn(body)) in pages.iter().enumerate() {
            let footer = self.footer(&format!("Page {} of {}", before + 1, pages.len()), imprint);
            let id = self.next.bump();
            let contents = Value::References(&[*body, footer]);
            let entries = [("Type", Value::Name("Page")), ("Parent", Value::Reference(PAGES)), ("Contents", contents)];
            object::write(&mut self.pdf, id, &entries);
            kids.push(id);
        }
        self.gather(&kids)?;
        self.bind(&kids, bookmarks, imprint);
        Ok(self.pdf.finish())
    }

    /// The tree of all pages, with the fonts, which they share.
    fn gather(&mut self, kids: &[Ref]) -> Result<(), font::Error> {
        let fonts = [HELVETICA, HELVETICA_BOLD, GIVEN].map(|(name, id)| (name, Value::Reference(id)));
        let used = if self.fonts.given.is_some() { &fonts } else { &fonts[..2] };
        let entries = [
            ("Type", Value::Name("Pages")),
            ("Count", Value::Integer(kids.len() as i32)),
            ("Kids", Value::References(kids)),
            ("MediaBox", Value::Rectangle([0.0, 0.0, LEFT + WIDTH + LEFT, HEIGHT])),
            ("Resources", Value::Dictionary(&[("Font", Value::Dictionary(used))])),
        ];
        object::write(&mut self.pdf, PAGES, &entries);
        for ((_, id), base) in [(HELVETICA, "Helvetica"), (HELVETICA_BOLD, "Helvetica-Bold")] {
            let entries = [
                ("Type", Value::Name("Font")),
                ("Subtype", Value::Name("Type1")),
                ("BaseFont", Value::Name(base)),
                ("Encoding", Value::Name("WinAnsiEncoding")),
            ];
            object::write(&mut self.pdf, id, &entries);
        }
        match &self.fonts.given {
            Some(font) => font.embed(&mut self.pdf, GIVEN.1, &mut self.next),
            None => Ok(()),
        }
    }

    fn footer(&mut self, number: &str, imprint: &Imprint<'_>) -> Ref {
        let title = self.fonts.lines(imprint.title, Weight::Regular, (WIDTH - 120.0) / FOOTER_SIZE, 1);
        self.write([LEFT, FOOTER], &title[0], FOOTER_SIZE, FAINT);
        self.label_before([LEFT + WIDTH, FOOTER], number, FOOTER_SIZE, FAINT);
        self.turn();
        self.turned.pop().map_or(PAGES, |drawn| drawn.0)
    }

    /// What is around the pages: the catalog, the bookmarks and the document's own description.
    fn bind(&mut self, kids: &[Ref], bookmarks: &[(&str, usize)], imprint: &Imprint<'_>) {
        let marks: Vec<Ref> = bookmarks.iter().map(|_| self.next.bump()).collect();
        for (place, (title, page)) in bookmarks.iter().enumerate() {
            let mut entries = vec![
                ("Title", Value::Text(title)),
                ("Parent", Value::Reference(OUTLINE)),
                ("Dest", Value::Destination(kids[*page])),
            ];
            if place > 0 {
                entries.push(("Prev", Value::Reference(marks[place - 1])));
            }
            entries.extend(marks.get(place + 1).map(|next| ("Next", Value::Reference(*next))));
            object::write(&mut self.pdf, marks[place], &entries);
        }
        if let [first, .., last] | [first @ last] = marks[..] {
            let entries = [
                ("First", Value::Reference(first)),
                ("Last", Value::Reference(last)),
                ("Count", Value::Integer(marks.len() as i32)),
            ];
            object::write(&mut self.pdf, OUTLINE, &entries);
        }
        let entries = [
            ("Pages", Value::Reference(PAGES)),
            ("Outlines", Value::Reference(OUTLINE)),
            ("Lang", Value::Text("en")),
            ("ViewerPreferences", Value::Dictionary(&[("DisplayDocTitle", Value::Flag(true))])),
        ];
        object::fill(&mut self.pdf.catalog(CATALOG), &entries);
        let made = imprint.made.strftime("D:%Y%m%d%H%M%SZ").to_string();
        let entries = [
            ("Title", Value::Text(imprint.title)),
            ("Producer", Value::Text(concat!("sidehook ", env!("CARGO_PKG_VERSION")))),
            ("CreationDate", Value::Text(&made)),
        ];
        object::fill(&mut self.pdf.document_info(PROPERTIES), &entries);
    }

    fn dip(&mut self, ink: Ink) {
        if self.pen.ink != Some(ink) {
            self.content.set_fill_rgb(ink[0], ink[1], ink[2]);
            self.pen.ink = Some(ink);
        }
    }

    fn take(&mut self, face: Face, size: f32, ink: Ink) {
        if self.pen.font != Some((face, size)) {
            let (name, size) = match face {
                Face::Helvetica => (HELVETICA.0, size),
                Face::HelveticaBold => (HELVETICA_BOLD.0, size),
                Face::Given | Face::GivenBold => (GIVEN.0, size * self.fonts.scale()),
            };
            self.content.set_font(Name(name.as_bytes()), round(size));
            self.pen.font = Some((face, size));
        }
        let rim = (face == Face::GivenBold).then_some(ink);
        if self.pen.rim == rim {
            return;
        }
        match rim {
            Some([red, green, blue]) => {
                self.content.set_text_rendering_mode(TextRenderingMode::FillStroke).set_line_width(round(size * 0.03));
                self.content.set_stroke_rgb(red, green, blue);
            }
            None => {
                self.content.set_text_rendering_mode(TextRenderingMode::Fill);
            }
        }
        self.pen.rim = rim;
    }
}

pub(super) fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    // Neither fails: it is written to memory.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

/// Numbers take room in the file.
fn round(length: f32) -> f32 {
    (length * 100.0).round() / 100.0
}

pub(super) const LEFT: f32 = 36.0;
pub(super) const WIDTH: f32 = 770.0;
pub(super) const TOP: f32 = 555.0;
const HEIGHT: f32 = 595.0;
const BOTTOM: f32 = 42.0;
const FOOTER: f32 = 24.0;
const FOOTER_SIZE: f32 = 7.5;

pub(super) const DARK: Ink = [0.13, 0.15, 0.18];
pub(super) const FAINT: Ink = [0.42, 0.45, 0.49];
pub(super) const LIGHT: Ink = [0.86, 0.87, 0.89];

// In grey they are light, middle and dark.
pub(super) const GOOD: Ink = [0.62, 0.78, 0.91];
pub(super) const TROUBLE: Ink = [0.87, 0.53, 0.13];
pub(super) const LOST: Ink = [0.55, 0.09, 0.13];

const COMPACT: Settings = Settings { pretty: false };

const CATALOG: Ref = Ref::new(1);
const PAGES: Ref = Ref::new(2);
const PROPERTIES: Ref = Ref::new(3);
const OUTLINE: Ref = Ref::new(4);
const HELVETICA: (&str, Ref) = ("F1", Ref::new(5));
const HELVETICA_BOLD: (&str, Ref) = ("F2", Ref::new(6));
const GIVEN: (&str, Ref) = ("F3", Ref::new(7));
const FIRST_FREE: i32 = 8;
