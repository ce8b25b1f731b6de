//! What stands where on which page, in whole tenths of a point.

use super::face::Face;
use crate::billing::{
    sheet::{Sheet, SheetRow},
    words::Language,
};

/// A4.
pub(super) const PAGE_WIDTH: i16 = 5_953;
pub(super) const PAGE_HEIGHT: i16 = 8_419;

/// Something on a page.
pub(super) enum Mark {
    /// Text in one line, from its left end at the base line.
    Text {
        x: i16,
        y: i16,
        size: i16,
        ink: Ink,
        text: String,
    },
    /// A thin line.
    Rule { x: i16, y: i16, width: i16 },
}

/// How dark something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ink {
    Black,
    Grey,
    Line,
}

impl Mark {
    pub(super) fn ink(&self) -> Ink {
        match self {
            Self::Text { ink, .. } => *ink,
            Self::Rule { .. } => Ink::Line,
        }
    }
}

/// The sheet's pages, each with its head and its number of all.
pub(super) fn pages(sheet: &Sheet, face: &Face) -> Vec<Vec<Mark>> {
    let mut layout = Layout {
        sheet,
        face,
        pages: Vec::new(),
        y: 0,
    };
    layout.first_page();
    for row in &sheet.rows {
        layout.row(row);
    }
    layout.totals();
    layout.notes();
    layout.feet();
    layout.pages
}

struct Layout<'a> {
    sheet: &'a Sheet,
    face: &'a Face,
    pages: Vec<Vec<Mark>>,
    /// The base line of what comes next.
    y: i16,
}

impl Layout<'_> {
    fn first_page(&mut self) {
        self.pages.push(Vec::new());
        self.y = TOP;
        let title = self.sheet.title.clone();
        self.text(LEFT, TITLE, Ink::Black, &title);
        self.y += 240;
        let half = self.sheet.facts.len().div_ceil(2);
        for at in 0..half {
            for (column, fact) in [at, at + half].into_iter().enumerate() {
                let Some((label, value)) = self.sheet.facts.get(fact) else {
                    continue;
                };
                let x = if column == 0 { LEFT } else { MIDDLE };
                self.text(x, FACT, Ink::Grey, label);
                let width = MIDDLE - LEFT - FACT_LABEL - GAP;
                let value = self.fitting(value, width, FACT);
                self.text(x + FACT_LABEL, FACT, Ink::Black, &value);
            }
            self.y += 135;
        }
        self.y += 80;
        self.heads();
    }

    fn next_page(&mut self) {
        self.pages.push(Vec::new());
        self.y = TOP;
        self.heads();
    }

    /// The heads of the table, on every page.
    fn heads(&mut self) {
        let say = |english, korean| self.sheet.language.say(english, korean);
        let words = [
            (LEFT, say("Date", "날짜")),
            (PARTNER, say("With", "거래처")),
            (USED, say("Used", "사용 내역")),
        ];
        for (x, word) in words {
            self.text(x, CELL, Ink::Grey, word);
        }
        let heads: Vec<String> = self
            .sheet
            .heads
            .iter()
            .map(|head| (*head).to_owned())
            .collect();
        self.amounts(&heads, Ink::Grey);
        self.y += 50;
        self.rule();
        self.y += 110;
    }

    fn row(&mut self, row: &SheetRow) {
        let amounts_from = self.amounts_from();
        let mut partner = self.wrapped(&row.partner, USED - PARTNER - GAP, CELL);
        partner.extend(self.wrapped(&row.site, USED - PARTNER - GAP, CELL));
        let mut used = Vec::new();
        let uses = row.uses.iter().flat_map(|(pattern, used)| [pattern, used]);
        for text in uses.chain(&row.remarks) {
            used.extend(self.wrapped(text, amounts_from - USED - GAP, CELL));
        }
        let count = partner.len().max(used.len()).max(1);
        let height = i32::try_from(count + 1).unwrap_or(i32::MAX) * i32::from(STEP);
        if i32::from(self.y) + height > i32::from(BOTTOM) && height < i32::from(BOTTOM - TOP) {
            self.next_page();
        }
        for at in 0..count {
            self.room();
            if at == 0 {
                self.text(LEFT, CELL, Ink::Black, &row.date);
                self.amounts(&row.amounts, Ink::Black);
            }
            for (x, lines) in [(PARTNER, &partner), (USED, &used)] {
                if let Some(line) = lines.get(at) {
                    self.text(x, CELL, Ink::Black, line);
                }
            }
            self.y += STEP;
        }
        self.room();
        let receipt = self.sheet.language.say("receipt", "영수증");
        self.text(
            PARTNER,
            SMALL,
            Ink::Grey,
            &format!("{receipt} {}", row.receipt),
        );
        self.y += 45;
        self.rule();
        self.y += 110;
    }

    fn totals(&mut self) {
        let last = self.sheet.totals.len().saturating_sub(1);
        for (at, (label, amounts)) in self.sheet.totals.iter().enumerate() {
            self.room();
            let ink = if at == last { Ink::Black } else { Ink::Grey };
            let label = self.fitting(label, self.amounts_from() - PARTNER - GAP, CELL);
            self.text(PARTNER, CELL, ink, &label);
            self.amounts(amounts, ink);
            self.y += 125;
        }
    }

    fn notes(&mut self) {
        self.y += 60;
        for note in &self.sheet.notes {
            for line in self.wrapped(note, RIGHT - LEFT, SMALL) {
                self.room();
                self.text(LEFT, SMALL, Ink::Grey, &line);
                self.y += 90;
            }
        }
    }

    /// Which page of how many, at each page's foot.
    fn feet(&mut self) {
        let count = self.pages.len();
        for (at, page) in self.pages.iter_mut().enumerate() {
            let place = match self.sheet.language {
                Language::En => format!("page {} of {count}", at + 1),
                Language::Ko => format!("{} / {count}쪽", at + 1),
            };
            let text = self
                .face
                .drawable(&format!("{} · {place}", self.sheet.title));
            page.push(Mark::Text {
                x: LEFT,
                y: FOOT,
                size: SMALL,
                ink: Ink::Grey,
                text,
            });
        }
    }

    /// Goes on to the next page where this one is full.
    fn room(&mut self) {
        if self.y > BOTTOM {
            self.next_page();
        }
    }

    fn amounts_from(&self) -> i16 {
        match self.sheet.heads.len() {
            0..=3 => 3_850,
            _ => 3_550,
        }
    }

    /// Amounts end at the right of their columns; a long one is smaller.
    fn amounts(&mut self, amounts: &[String], ink: Ink) {
        let from = self.amounts_from();
        let columns = i16::try_from(amounts.len().max(1)).unwrap_or(1);
        let each = (RIGHT - from) / columns;
        for (at, amount) in (1..=columns).zip(amounts) {
            let wide = self.face.width(amount, CELL).max(1);
            let room = i32::from(each - 40);
            let size = i32::from(CELL) * room / wide.max(room);
            let size = i16::try_from(size).unwrap_or(CELL).max(10);
            let width = i16::try_from(self.face.width(amount, size)).unwrap_or(each);
            self.text(from + at * each - width, size, ink, amount);
        }
    }

    fn rule(&mut self) {
        let (x, y, width) = (LEFT, self.y, RIGHT - LEFT);
        self.mark(Mark::Rule { x, y, width });
    }

    fn text(&mut self, x: i16, size: i16, ink: Ink, text: &str) {
        let text = self.face.drawable(text);
        let y = self.y;
        self.mark(Mark::Text {
            x,
            y,
            size,
            ink,
            text,
        });
    }

    fn mark(&mut self, mark: Mark) {
        if let Some(page) = self.pages.last_mut() {
            page.push(mark);
        }
    }

    /// As much of `text` as fits into one line.
    fn fitting(&self, text: &str, width: i16, size: i16) -> String {
        let mut lines = self.wrapped(text, width, size).into_iter();
        let first = lines.next().unwrap_or_default();
        if lines.next().is_some() {
            first + "…"
        } else {
            first
        }
    }

    /// `text` in lines no wider than `width`: at spaces where there are some, within words otherwise.
    fn wrapped(&self, text: &str, width: i16, size: i16) -> Vec<String> {
        let (mut lines, mut line) = (Vec::new(), String::new());
        for c in self.face.drawable(text).chars() {
            line.push(c);
            if self.face.width(&line, size) <= i32::from(width) {
                continue;
            }
            let at = line.rfind(' ').map_or(0, |space| space + 1);
            let at = if at == 0 {
                line.len() - c.len_utf8()
            } else {
                at
            };
            let rest = line.split_off(at);
            lines.push(line.trim_end().to_owned());
            line = rest;
        }
        if !line.is_empty() {
            lines.push(line);
        }
        lines
    }
}

const LEFT: i16 = 400;
const RIGHT: i16 = 5_553;
const MIDDLE: i16 = 3_050;
const PARTNER: i16 = 960;
const USED: i16 = 2_150;
const FACT_LABEL: i16 = 800;
const TOP: i16 = 560;
const BOTTOM: i16 = 7_800;
const FOOT: i16 = 8_080;
const GAP: i16 = 60;
/// From one base line of a row to the next.
const STEP: i16 = 105;
const TITLE: i16 = 170;
const FACT: i16 = 88;
const CELL: i16 = 76;
const SMALL: i16 = 60;
