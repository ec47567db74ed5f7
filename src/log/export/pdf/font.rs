//! A font from a file, embedded as far as it is used (ISO 32000-1, 9.7: a composite font).

use pdf_writer::{
    Chunk, Name, Ref, Str,
    types::{FontFlags, SystemInfo, UnicodeCmap},
};
use subsetter::GlyphRemapper;
use ttf_parser::{Face, FaceParsingError, Permissions, RawFace, Tag, name_id};

use super::{
    object::{self, Value},
    paper,
};

/// A TrueType or OpenType font; of a collection its first.
pub struct Font {
    bytes: Vec<u8>,
    units_per_em: f32,
    /// What makes its digits as wide as Helvetica's, for which the columns are made; not more than 1.
    scale: f32,
    used: GlyphRemapper,
    /// What was asked for, by the higher and the lowest byte of its code point: there are millions of questions.
    known: Vec<Option<Box<[Known; 256]>>>,
    /// By their numbers in the subset, less one.
    drawn: Vec<(char, Sign)>,
}

#[derive(Clone, Copy)]
enum Known {
    Lacking,
    Sign(Sign),
    Unasked,
}

/// A character in the subset.
#[derive(Clone, Copy)]
pub(super) struct Sign {
    pub(super) number: u16,
    /// In thousandths of the font's own size.
    pub(super) width: f32,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the font is damaged: {0}")]
    Damaged(FaceParsingError),
    #[error("the font does not permit that it is embedded")]
    Forbidden,
    #[error("this is neither a TrueType nor an OpenType font")]
    Foreign,
    #[error("the font's outlines cannot be used: {0}")]
    Outlines(subsetter::Error),
    #[error("the font does not say which characters it has")]
    Unmapped,
}

impl Font {
    /// Reads the content of a font's file, and tries whether it can be embedded.
    pub fn read(bytes: Vec<u8>) -> Result<Font, Error> {
        let face = parse(&bytes)?;
        if face.tables().cmap.is_none() {
            return Err(Error::Unmapped);
        }
        let restricted = face.permissions() == Some(Permissions::Restricted);
        if restricted || !face.is_outline_embedding_allowed() || !face.is_subsetting_allowed() {
            return Err(Error::Forbidden);
        }
        let units_per_em = face.units_per_em().into();
        let mut font = Font { bytes, units_per_em, scale: 1.0, used: GlyphRemapper::new(), known: unknown(), drawn: Vec::new() };
        for character in ' '..='~' {
            font.sign(character);
        }
        font.subset()?;
        let digit = font.sign('0').map_or(0.0, |sign| sign.width);
        if digit > HELVETICA_DIGIT {
            font.scale = (HELVETICA_DIGIT / digit).max(0.5);
        }
        (font.used, font.known, font.drawn) = (GlyphRemapper::new(), unknown(), Vec::new());
        Ok(font)
    }

    /// By how much it is smaller than the size that is asked for.
    pub(super) fn scale(&self) -> f32 {
        self.scale
    }

    /// The character in the subset, which then has it; `None` where the font lacks it.
    pub(super) fn sign(&mut self, character: char) -> Option<Sign> {
        let [high, low] = [u32::from(character) >> 8, u32::from(character) & 0xff].map(|part| part as usize);
        match self.known[high].as_ref().map_or(Known::Unasked, |page| page[low]) {
            Known::Lacking => return None,
            Known::Sign(sign) => return Some(sign),
            Known::Unasked => {}
        }
        let sign = self.look_up(character);
        let page = self.known[high].get_or_insert_with(|| Box::new([Known::Unasked; 256]));
        page[low] = sign.map_or(Known::Lacking, Known::Sign);
        sign
    }

    fn look_up(&mut self, character: char) -> Option<Sign> {
        let face = parse(&self.bytes).ok()?;
        let glyph = face.glyph_index(character)?;
        if glyph.0 == 0 || glyph.0 >= face.number_of_glyphs() {
            return None;
        }
        let width = self.scaled(face.glyph_hor_advance(glyph).unwrap_or_default());
        let sign = Sign { number: self.used.remap(glyph.0), width };
        // Several characters may share a glyph; it is copied as the first.
        if usize::from(sign.number) > self.drawn.len() {
            self.drawn.push((character, sign));
        }
        Some(sign)
    }

    /// Writes the font as `id`, with what was used of it.
    pub(super) fn embed(&self, chunk: &mut Chunk, id: Ref, next: &mut Ref) -> Result<(), Error> {
        let face = parse(&self.bytes)?;
        let subset = self.subset()?;
        // CFF outlines are embedded without the tables around them (ISO 32000-1, table 126).
        let outlines = RawFace::parse(&subset, 0).ok().and_then(|face| face.table(Tag::from_bytes(b"CFF ")));
        let name = name(&face);
        let base = if outlines.is_some() { format!("{name}-Identity-H") } else { name.clone() };
        let [cid_font, descriptor, file, to_unicode] = [next.bump(), next.bump(), next.bump(), next.bump()];
        let entries = [
            ("Type", Value::Name("Font")),
            ("Subtype", Value::Name("Type0")),
            ("BaseFont", Value::Name(&base)),
            ("Encoding", Value::Name("Identity-H")),
            ("DescendantFonts", Value::References(&[cid_font])),
            ("ToUnicode", Value::Reference(to_unicode)),
        ];
        object::write(chunk, id, &entries);

        let widths: Vec<f32> = self.drawn.iter().map(|(_, sign)| sign.width).collect();
        let (registry, ordering, supplement) =
            (Value::Text("Adobe"), Value::Text("Identity"), Value::Integer(IDENTITY.supplement));
        let entries = [
            ("Type", Value::Name("Font")),
            ("Subtype", Value::Name(if outlines.is_some() { "CIDFontType0" } else { "CIDFontType2" })),
            ("BaseFont", Value::Name(&name)),
            ("CIDSystemInfo", Value::Dictionary(&[("Registry", registry), ("Ordering", ordering), ("Supplement", supplement)])),
            ("FontDescriptor", Value::Reference(descriptor)),
            ("DW", Value::Integer(0)),
            ("W", Value::Widths(&widths)),
            ("CIDToGIDMap", Value::Name("Identity")),
        ];
        // The last is of TrueType alone.
        object::write(chunk, cid_font, &entries[..if outlines.is_some() { 7 } else { 8 }]);

        self.describe(chunk, &face, [descriptor, file], outlines.is_some());
        let is_cff = [("Subtype", Value::Name("CIDFontType0C"))];
        let entries = if outlines.is_some() { &is_cff[..] } else { &[] };
        object::write_stream(chunk, file, &paper::compressed(outlines.unwrap_or(&subset)), entries);

        let mut map = UnicodeCmap::new(Name(b"Characters"), IDENTITY);
        for (character, sign) in &self.drawn {
            map.pair(sign.number, *character);
        }
        object::write_stream(chunk, to_unicode, &paper::compressed(&map.finish()), &[]);
        Ok(())
    }

    fn describe(&self, chunk: &mut Chunk, face: &Face<'_>, [id, file]: [Ref; 2], is_cff: bool) {
        let bounds = face.global_bounding_box();
        let mut flags = FontFlags::SYMBOLIC;
        flags.set(FontFlags::FIXED_PITCH, face.is_monospaced());
        flags.set(FontFlags::ITALIC, face.is_italic());
        let entries = [
            ("Type", Value::Name("FontDescriptor")),
            ("FontName", Value::Name(&name(face))),
            ("Flags", Value::Integer(flags.bits() as i32)),
            ("FontBBox", Value::Rectangle([bounds.x_min, bounds.y_min, bounds.x_max, bounds.y_max].map(|at| self.scaled(at)))),
            ("ItalicAngle", Value::Number(face.italic_angle())),
            ("Ascent", Value::Number(self.scaled(face.ascender()))),
            ("Descent", Value::Number(self.scaled(face.descender()))),
            ("CapHeight", Value::Number(self.scaled(face.capital_height().unwrap_or(face.ascender())))),
            // No table has it; readers use it only for a font in this one's place.
            ("StemV", Value::Integer(80)),
            (if is_cff { "FontFile3" } else { "FontFile2" }, Value::Reference(file)),
        ];
        object::write(chunk, id, &entries);
    }

    fn subset(&self) -> Result<Vec<u8>, Error> {
        subsetter::subset(&self.bytes, 0, &self.used).map_err(Error::Outlines)
    }

    /// Units of the font in thousandths of its size.
    fn scaled(&self, units: impl Into<f32>) -> f32 {
        units.into() * 1000.0 / self.units_per_em
    }
}

/// Where the tables are: it is quickly done, and lets the font own its bytes.
fn parse(bytes: &[u8]) -> Result<Face<'_>, Error> {
    Face::parse(bytes, 0).map_err(|error| match error {
        FaceParsingError::UnknownMagic => Error::Foreign,
        error => Error::Damaged(error),
    })
}

fn unknown() -> Vec<Option<Box<[Known; 256]>>> {
    vec![None; 0x1100]
}

/// The font's PostScript name, with the tag of a subset.
fn name(face: &Face<'_>) -> String {
    let named = face.names().into_iter().find(|name| name.name_id == name_id::POST_SCRIPT_NAME && name.is_unicode());
    let mut name = named.and_then(|name| name.to_string()).unwrap_or_default();
    name.retain(|character| character.is_ascii_alphanumeric() || character == '-');
    name.truncate(63);
    format!("SIDEHK+{}", if name.is_empty() { "Font" } else { &name })
}

const IDENTITY: SystemInfo<'static> = SystemInfo { registry: Str(b"Adobe"), ordering: Str(b"Identity"), supplement: 0 };
const HELVETICA_DIGIT: f32 = 556.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_used_is_in_the_file_and_can_be_copied() {
        for bytes in [TRUETYPE, CFF] {
            let mut font = Font::read(bytes.to_vec()).unwrap();
            assert_eq!(font.sign('日').map(|sign| (sign.number, sign.width)), Some((1, 1000.0)));
            assert_eq!(font.sign('Ё').map(|sign| (sign.number, sign.width)), Some((2, 900.0)));
            assert!(font.sign('A').is_none());
            let mut chunk = Chunk::new();
            font.embed(&mut chunk, Ref::new(1), &mut Ref::new(2)).unwrap();
            let subset = font.subset().unwrap();
            assert!(subset.len() < bytes.len());
            // .notdef, the two, and in TrueType what one of them is made of.
            assert!(Face::parse(&subset, 0).unwrap().number_of_glyphs() <= 4);
        }
    }

    #[test]
    fn a_collection_is_read_as_its_first_font() {
        let mut font = Font::read(collection()).map(|mut font| font.sign('日').is_some());
        assert!(matches!(font, Ok(true)));
        font = Font::read(collection()[..16].to_vec()).map(|_| true);
        assert!(font.is_err());
    }

    #[test]
    fn what_is_no_usable_font_is_refused_with_a_reason() {
        let mut restricted = TRUETYPE.to_vec();
        let os2 = table(&restricted, b"OS/2");
        restricted[os2 + 9] = 2;
        let renamed = |tag: &[u8; 4], other: &[u8; 4]| {
            let mut bytes = TRUETYPE.to_vec();
            let place = bytes.windows(4).position(|bytes| bytes == tag).unwrap();
            bytes[place..place + 4].copy_from_slice(other);
            bytes
        };
        for (bytes, reason) in [
            (&b"%PDF-1.7"[..], "this is neither a TrueType nor an OpenType font"),
            (b"wOF2 and so on", "this is neither a TrueType nor an OpenType font"),
            (b"", "this is neither a TrueType nor an OpenType font"),
            (&TRUETYPE[..TRUETYPE.len() / 4], "the font does not say which characters it has"),
            (&renamed(b"head", b"xead"), "the font is damaged: the head table is missing or malformed"),
            (&restricted, "the font does not permit that it is embedded"),
            // One of bitmaps alone.
            (&renamed(b"glyf", b"CBDT"), "the font's outlines cannot be used: unknown font kind"),
        ] {
            assert_eq!(Font::read(bytes.to_vec()).err().map(|error| error.to_string()).as_deref(), Some(reason));
        }
    }

    #[test]
    fn a_damaged_font_is_an_error_or_drawn_but_never_a_panic() {
        let mut seed = 1_u64;
        let mut random = |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as usize % below
        };
        let (mut used, mut refused) = (0, 0);
        for round in 0..4_000 {
            let mut bytes = if round % 2 == 0 { TRUETYPE.to_vec() } else { CFF.to_vec() };
            for _ in 0..=random(4) {
                let place = random(bytes.len());
                bytes[place] = [0, 0x7f, 0x80, 0xff, random(256) as u8][random(5)];
            }
            bytes.truncate(bytes.len() - random(2) * random(bytes.len()));
            let embedded = Font::read(bytes).and_then(|mut font| {
                for character in "日ЖЁ😀0123456789".chars() {
                    font.sign(character);
                }
                font.embed(&mut Chunk::new(), Ref::new(1), &mut Ref::new(2))
            });
            if embedded.is_ok() { used += 1 } else { refused += 1 }
        }
        assert!(used > 100 && refused > 100, "{used} {refused}");
    }

    /// Two fonts in one file: the same one twice.
    fn collection() -> Vec<u8> {
        let mut bytes = b"ttcf\0\x01\0\0\0\0\0\x02\0\0\0\x14\0\0\0\x14".to_vec();
        let head = bytes.len();
        bytes.extend(TRUETYPE);
        let tables = usize::from(u16::from_be_bytes([TRUETYPE[4], TRUETYPE[5]]));
        for record in 0..tables {
            let place = head + 12 + 16 * record + 8;
            let offset = u32::from_be_bytes(bytes[place..place + 4].try_into().unwrap()) + head as u32;
            bytes[place..place + 4].copy_from_slice(&offset.to_be_bytes());
        }
        bytes
    }

    fn table(bytes: &[u8], tag: &[u8]) -> usize {
        let record = bytes.windows(4).position(|bytes| bytes == tag).unwrap();
        u32::from_be_bytes(bytes[record + 8..record + 12].try_into().unwrap()) as usize
    }

    const TRUETYPE: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/log/fonts/boxes.ttf"));
    const CFF: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/log/fonts/boxes.otf"));
}
