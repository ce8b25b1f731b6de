//! Documents as PDF: A4, a font that is embedded as far as it is used, text that can be searched and copied.
//!
//! What stands where is decided in whole tenths of a point ([`layout`]); only what is handed to the PDF library is a floating-point number.

mod face;
mod layout;

use krilla::{
    Document as Pdf,
    color::luma,
    error::KrillaError,
    geom::{PathBuilder, Point, Rect},
    metadata::{DateTime, Metadata},
    page::PageSettings,
    paint::Fill,
    surface::Surface,
};

use self::{
    face::Face,
    layout::{Ink, Mark, PAGE_HEIGHT, PAGE_WIDTH},
};
use super::{Lines, sheet::Sheet, words::Language};
use crate::operator::invoice_answer::DocumentAnswer;

/// Why a document cannot be a PDF.
#[derive(Debug, thiserror::Error)]
pub enum PdfError {
    /// The font that is part of this program cannot be read.
    #[error("the embedded font cannot be read")]
    Font,
    /// The library cannot write it.
    #[error("write the PDF: {0:?}")]
    Write(KrillaError),
}

/// The document's octets. The same document gives the same octets.
///
/// # Errors
/// [`PdfError`].
pub fn render(
    document: &DocumentAnswer,
    lines: &Lines,
    language: Language,
) -> Result<Vec<u8>, PdfError> {
    let sheet = Sheet::new(document, lines, language);
    let face = Face::new().ok_or(PdfError::Font)?;
    let pages = layout::pages(&sheet, &face);
    let size = PageSettings::from_wh(points(PAGE_WIDTH), points(PAGE_HEIGHT));
    let size = size.ok_or(PdfError::Font)?;
    let mut pdf = Pdf::new();
    for marks in &pages {
        let mut page = pdf.start_page_with(size.clone());
        let mut surface = page.surface();
        for mark in marks {
            draw(&mut surface, &face, mark);
        }
        surface.finish();
        page.finish();
    }
    pdf.set_metadata(metadata(document, &sheet));
    pdf.finish().map_err(PdfError::Write)
}

fn draw(surface: &mut Surface<'_>, face: &Face, mark: &Mark) {
    surface.set_fill(Some(Fill {
        paint: luma::Color::new(match mark.ink() {
            Ink::Black => 20,
            Ink::Grey => 110,
            Ink::Line => 200,
        })
        .into(),
        ..Fill::default()
    }));
    match mark {
        Mark::Text {
            x, y, size, text, ..
        } => {
            let glyphs = face.glyphs(text);
            let start = Point::from_xy(points(*x), points(*y));
            let font = face.font();
            surface.draw_glyphs(start, &glyphs, font, text, points(*size), false);
        }
        Mark::Rule { x, y, width } => {
            let rule = Rect::from_xywh(points(*x), points(*y), points(*width), points(RULE));
            let mut path = PathBuilder::new();
            if let Some(rule) = rule {
                path.push_rect(rule);
            }
            if let Some(path) = path.finish() {
                surface.draw_path(&path);
            }
        }
    }
}

fn metadata(document: &DocumentAnswer, sheet: &Sheet) -> Metadata {
    let metadata = Metadata::new()
        .title(sheet.title.clone())
        .language(sheet.language.tag().to_owned())
        .document_id(document.hash.to_string())
        .producer("madang-anchor".to_owned());
    let day = document.issued.day().to_string();
    let mut parts = day.split('-').map(|part| part.parse::<u16>().ok());
    let (Some(Some(year)), Some(Some(month)), Some(Some(day))) =
        (parts.next(), parts.next(), parts.next())
    else {
        return metadata;
    };
    let small = |number: u16| u8::try_from(number).unwrap_or(1);
    let date = DateTime::new(year).month(small(month)).day(small(day));
    metadata.creation_date(date.hour(0).minute(0).second(0).utc_offset_hour(0))
}

fn points(tenths: i16) -> f32 {
    f32::from(tenths) / 10.0
}

/// How thick a rule is, in tenths of a point.
const RULE: i16 = 5;

#[cfg(test)]
#[expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says what it leaves out"
)]
mod tests;
