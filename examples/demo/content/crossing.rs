//! A drawing that explains: the page goes straight from one PC to the other, the receipts go to the anchor.

/// The drawing, as SVG.
pub(super) fn draw() -> String {
    let boxes = [
        (20, 150, "Your PC", "당신의 PC"),
        (560, 150, "Mina's PC", "미나의 PC"),
        (290, 10, "The anchor", "앵커"),
    ];
    let boxes = boxes.map(|(x, y, english, korean)| {
        format!(
            r##"<g><rect x="{x}" y="{y}" width="180" height="78" rx="12" fill="#ffffff" stroke="#1f6b4a" stroke-width="3"/><text x="{0}" y="{1}" font-weight="600">{english}</text><text x="{0}" y="{2}">{korean}</text></g>"##,
            x + 90,
            y + 35,
            y + 60,
        )
    });
    let lines = [
        (
            "M206 176H554",
            "#1f6b4a",
            (380, 166, "pages and files · 페이지와 파일"),
        ),
        (
            "M554 206H206",
            "#b4532a",
            (380, 232, "receipts, as you go · 영수증"),
        ),
        (
            "M620 144Q560 80 476 56",
            "#b4532a",
            (596, 84, "receipts, in batches"),
        ),
        (
            "M284 56Q200 80 140 144",
            "#5b6670",
            (170, 84, "permission to spend"),
        ),
    ];
    let lines = lines.map(|(path, colour, (x, y, text))| {
        format!(
            r##"<path d="{path}" fill="none" stroke="{colour}" stroke-width="3" marker-end="url(#head)"/><text x="{x}" y="{y}" font-size="15" fill="{colour}">{text}</text>"##
        )
    });
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 260" role="img" aria-labelledby="title description" font-family="system-ui, sans-serif" font-size="19" text-anchor="middle" fill="#1d2329">
<title id="title">How a page is paid for</title>
<desc id="description">Pages and files go straight from Mina's PC to yours. Your PC signs receipts as it goes and gives them to Mina's. Mina's PC hands them to the anchor in batches. The anchor only gave your PC permission to spend, and keeps the accounts.</desc>
<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" markerHeight="6" orient="auto"><path d="M0 0L8 4L0 8Z" fill="#1d2329"/></marker></defs>
<rect width="760" height="260" rx="16" fill="#f6f3ea"/>
{}
{}
</svg>
"##,
        lines.concat(),
        boxes.concat()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mark_that_opens_closes() {
        let svg = draw();
        for (opens, closes) in [("<g>", "</g>"), ("<text", "</text>"), ("<svg", "</svg>")] {
            assert_eq!(
                svg.matches(opens).count(),
                svg.matches(closes).count(),
                "{opens}"
            );
        }
    }
}
