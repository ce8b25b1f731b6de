//! A table for people, in columns of plain text.

use std::fmt;

/// Rows of cells under a head. Columns whose head begins with `>` are aligned to the right, as numbers are.
pub(super) struct Table {
    rows: Vec<Vec<String>>,
    to_right: Vec<bool>,
}

impl Table {
    /// A table with this head and no rows.
    pub(super) fn new(head: &[&str]) -> Self {
        let bare = |name: &&str| name.trim_start_matches('>').to_owned();
        Self {
            to_right: head.iter().map(|name| name.starts_with('>')).collect(),
            rows: vec![head.iter().map(bare).collect()],
        }
    }

    /// Adds a row; cells beyond the head are not shown.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let columns = self.to_right.len();
        let mut row: Vec<_> = cells.into_iter().take(columns).collect();
        row.resize(columns, String::new());
        self.rows.push(row);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| {
            let cells = self.rows.iter().map(|row| row[column].chars().count());
            cells.max().unwrap_or(0)
        };
        for row in &self.rows {
            let mut line = String::from(" ");
            for (column, cell) in row.iter().enumerate() {
                let padding = " ".repeat(width(column) - cell.chars().count());
                line.push(' ');
                if self.to_right[column] {
                    line.push_str(&padding);
                    line.push_str(cell);
                } else {
                    line.push_str(cell);
                    line.push_str(&padding);
                }
                line.push(' ');
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_to_the_right_and_words_to_the_left() {
        let mut table = Table::new(&["who", ">what"]);
        table.row(["mina".into(), "1,234,567".into()]);
        table.row(["x".into()]);
        assert_eq!(
            table.to_string(),
            "  who        what\n  mina  1,234,567\n  x\n"
        );
    }
}
