//! The one font of documents: Latin letters and all Korean syllables, under the Open Font License (`assets/OFL.txt`).

use krilla::text::{Font, GlyphId, KrillaGlyph};
use skrifa::{
    FontRef, MetadataProvider as _,
    charmap::Charmap,
    instance::{LocationRef, Size},
    metrics::GlyphMetrics,
};

use crate::billing::clean::BOX;

/// The font, to measure and to draw with.
pub(super) struct Face {
    font: Font,
    charmap: Charmap<'static>,
    metrics: GlyphMetrics<'static>,
}

impl Face {
    /// `None` if this program was built with a font that is none.
    pub(super) fn new() -> Option<Self> {
        let font = Font::new(FONT.to_vec().into(), 0)?;
        let known = FontRef::new(FONT).ok()?;
        Some(Self {
            font,
            charmap: known.charmap(),
            metrics: known.glyph_metrics(Size::new(f32::from(EM)), LocationRef::default()),
        })
    }

    pub(super) fn font(&self) -> Font {
        self.font.clone()
    }

    /// `text` with a box for each character that the font does not have.
    pub(super) fn drawable(&self, text: &str) -> String {
        let known = |c: char| {
            if self.charmap.map(c).is_some() {
                c
            } else {
                BOX
            }
        };
        text.chars().map(known).collect()
    }

    /// One glyph for each character: there is no script here that would need more.
    pub(super) fn glyphs(&self, text: &str) -> Vec<KrillaGlyph> {
        let glyphs = text.char_indices().map(|(at, c)| {
            let glyph = self.charmap.map(c).unwrap_or_default();
            let advance = self.metrics.advance_width(glyph).unwrap_or_default() / f32::from(EM);
            let range = at..at + c.len_utf8();
            KrillaGlyph::new(
                GlyphId::new(glyph.to_u32()),
                advance,
                0.0,
                0.0,
                0.0,
                range,
                None,
            )
        });
        glyphs.collect()
    }

    /// How wide `text` is at `size`; both in tenths of a point.
    pub(super) fn width(&self, text: &str, size: i16) -> i32 {
        let units: i32 = text
            .chars()
            .map(|c| {
                let glyph = self.charmap.map(c).unwrap_or_default();
                self.metrics.advance_width(glyph).unwrap_or_default() as i32
            })
            .sum();
        units * i32::from(size) / UNITS
    }
}

static FONT: &[u8] = include_bytes!("../../../assets/MadangGothic.ttf");
/// What advances are measured in, of one em.
const UNITS: i32 = 1_000;
const EM: i16 = 1_000;
