//! A font from a file, embedded as far as it is used (ISO 32000-1, 9.7: a composite font).

use std::collections::HashMap;

use pdf_writer::{
    Chunk, Finish, Name, Rect, Ref, Str,
    types::{CidFontType, FontFlags, SystemInfo, UnicodeCmap},
};
use subsetter::GlyphRemapper;
use ttf_parser::{Face, FaceParsingError, Tag, name_id};

use super::paper;

/// A TrueType or OpenType font; of a collection its first.
pub struct Font<'a> {
    bytes: &'a [u8],
    face: Face<'a>,
    used: GlyphRemapper,
    known: HashMap<char, Option<Sign>>,
    /// By their numbers in the subset, less one.
    drawn: Vec<(char, Sign)>,
}

/// A character in the subset.
#[derive(Clone, Copy)]
pub(super) struct Sign {
    pub(super) number: u16,
    /// In thousandths of the font's size.
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

impl<'a> Font<'a> {
    /// Reads the content of a font's file, and tries whether it can be embedded.
    pub fn read(bytes: &'a [u8]) -> Result<Font<'a>, Error> {
        let face = Face::parse(bytes, 0).map_err(|error| match error {
            FaceParsingError::UnknownMagic => Error::Foreign,
            error => Error::Damaged(error),
        })?;
        if face.tables().cmap.is_none() {
            return Err(Error::Unmapped);
        }
        if !face.is_outline_embedding_allowed() || !face.is_subsetting_allowed() {
            return Err(Error::Forbidden);
        }
        let mut sample = Font { bytes, face, used: GlyphRemapper::new(), known: HashMap::new(), drawn: Vec::new() };
        for character in ' '..='~' {
            sample.sign(character);
        }
        sample.subset()?;
        Ok(Font { used: GlyphRemapper::new(), known: HashMap::new(), drawn: Vec::new(), ..sample })
    }

    /// The character in the subset, which then has it; `None` where the font lacks it.
    pub(super) fn sign(&mut self, character: char) -> Option<Sign> {
        if let Some(known) = self.known.get(&character) {
            return *known;
        }
        let glyph = self.face.glyph_index(character).filter(|glyph| glyph.0 != 0 && glyph.0 < self.face.number_of_glyphs());
        let sign = glyph.map(|glyph| {
            let advance = self.face.glyph_hor_advance(glyph).unwrap_or_default();
            Sign { number: self.used.remap(glyph.0), width: self.scaled(advance) }
        });
        if let Some(sign) = sign.filter(|sign| usize::from(sign.number) > self.drawn.len()) {
            self.drawn.push((character, sign));
        }
        self.known.insert(character, sign);
        sign
    }

    /// Writes the font as `id`, with what was used of it.
    pub(super) fn embed(&self, chunk: &mut Chunk, id: Ref, next: &mut Ref) -> Result<(), Error> {
        let subset = self.subset()?;
        // CFF outlines are embedded without the tables around them (ISO 32000-1, table 126).
        let outlines = ttf_parser::RawFace::parse(&subset, 0).ok().and_then(|face| face.table(Tag::from_bytes(b"CFF ")));
        let name = self.name();
        let base = if outlines.is_some() { format!("{name}-Identity-H") } else { name.clone() };
        let [cid_font, descriptor, file, to_unicode] = [next.bump(), next.bump(), next.bump(), next.bump()];
        chunk
            .type0_font(id)
            .base_font(Name(base.as_bytes()))
            .encoding_predefined(Name(b"Identity-H"))
            .descendant_font(cid_font)
            .to_unicode(to_unicode);

        let mut font = chunk.cid_font(cid_font);
        font.subtype(if outlines.is_some() { CidFontType::Type0 } else { CidFontType::Type2 });
        font.base_font(Name(name.as_bytes())).system_info(IDENTITY).font_descriptor(descriptor).default_width(0.0);
        font.widths().consecutive(1, self.drawn.iter().map(|(_, sign)| sign.width));
        if outlines.is_none() {
            font.cid_to_gid_map_predefined(Name(b"Identity"));
        }
        font.finish();

        self.describe(chunk, &name, descriptor, file, outlines.is_some());
        let bytes = paper::compressed(outlines.unwrap_or(&subset));
        let mut stream = chunk.stream(file, &bytes);
        stream.filter(pdf_writer::Filter::FlateDecode);
        if outlines.is_some() {
            stream.pair(Name(b"Subtype"), Name(b"CIDFontType0C"));
        }
        stream.finish();

        let mut map = UnicodeCmap::new(Name(b"Characters"), IDENTITY);
        for (character, sign) in &self.drawn {
            map.pair(sign.number, *character);
        }
        chunk.cmap(to_unicode, &paper::compressed(&map.finish())).filter(pdf_writer::Filter::FlateDecode);
        Ok(())
    }

    fn describe(&self, chunk: &mut Chunk, name: &str, id: Ref, file: Ref, is_cff: bool) {
        let face = &self.face;
        let scaled = |units: i16| f32::from(units) * 1000.0 / f32::from(face.units_per_em());
        let bounds = face.global_bounding_box();
        let mut flags = FontFlags::SYMBOLIC;
        flags.set(FontFlags::FIXED_PITCH, face.is_monospaced());
        flags.set(FontFlags::ITALIC, face.is_italic());
        let mut descriptor = chunk.font_descriptor(id);
        descriptor
            .name(Name(name.as_bytes()))
            .flags(flags)
            .bbox(Rect::new(scaled(bounds.x_min), scaled(bounds.y_min), scaled(bounds.x_max), scaled(bounds.y_max)))
            .italic_angle(face.italic_angle())
            .ascent(scaled(face.ascender()))
            .descent(scaled(face.descender()))
            .cap_height(scaled(face.capital_height().unwrap_or(face.ascender())))
            // No table has it; readers use it only for a font in this one's place.
            .stem_v(80.0);
        match is_cff {
            true => descriptor.font_file3(file),
            false => descriptor.font_file2(file),
        };
    }

    fn subset(&self) -> Result<Vec<u8>, Error> {
        subsetter::subset(self.bytes, 0, &self.used).map_err(Error::Outlines)
    }

    fn scaled(&self, units: u16) -> f32 {
        f32::from(units) * 1000.0 / f32::from(self.face.units_per_em())
    }

    /// The font's PostScript name, with the tag of a subset.
    fn name(&self) -> String {
        let named = self.face.names().into_iter().find(|name| name.name_id == name_id::POST_SCRIPT_NAME && name.is_unicode());
        let mut name = named.and_then(|name| name.to_string()).unwrap_or_default();
        name.retain(|character| character.is_ascii_alphanumeric() || character == '-');
        name.truncate(63);
        format!("SIDEHK+{}", if name.is_empty() { "Font" } else { &name })
    }
}

const IDENTITY: SystemInfo<'static> = SystemInfo { registry: Str(b"Adobe"), ordering: Str(b"Identity"), supplement: 0 };
