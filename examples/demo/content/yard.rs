//! A drawing by lines: a yard between hills, with a house, a tree and the jars on their terrace.

use super::noise::Stream;

/// The drawing, as SVG.
pub(super) fn draw() -> String {
    let mut svg = String::from(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 800 420" role="img" aria-labelledby="title description">
<title id="title">A yard (마당) in the evening</title>
<desc id="description">A tiled house with a wide yard before it, a persimmon tree with fruit, brown jars on a stone terrace, and hills in the distance.</desc>
<defs><linearGradient id="sky" x2="0" y2="1"><stop offset="0" stop-color="#f6d9a8"/><stop offset="1" stop-color="#fdf3e1"/></linearGradient></defs>
<rect width="800" height="420" fill="url(#sky)"/>
<circle cx="620" cy="110" r="42" fill="#e8743b"/>
"##,
    );
    let mut chance = Stream(3);
    for (base, height, colour) in [
        (230, 90, "#b9c3b4"),
        (255, 70, "#93a893"),
        (280, 50, "#6c8b74"),
    ] {
        svg.push_str(&hill(base, height, colour, &mut chance));
    }
    svg.push_str(r##"<path d="M0 292H800V420H0Z" fill="#e2cfa6"/><path d="M0 292H800V302H0Z" fill="#c9b482"/>"##);
    svg.push_str(HOUSE);
    svg.push_str(&tree(&mut chance));
    svg.push_str(&jars());
    svg.push_str("</svg>\n");
    svg
}

const HOUSE: &str = r##"
<g><rect x="120" y="226" width="300" height="94" fill="#f4ead2"/>
<path d="M84 232Q120 218 140 178H400Q420 218 456 232Q270 214 84 232Z" fill="#4a4f57"/>
<path d="M140 178H400" stroke="#31353b" stroke-width="8"/>
<g stroke="#7a4a2b" stroke-width="9"><path d="M126 228V320M222 226V320M318 226V320M414 228V320"/></g>
<g fill="#fffaf0" stroke="#8b6b4a" stroke-width="2"><path d="M238 246H264V318H238ZM276 246H302V318H276Z"/><path d="M238 264H302M238 282H302M238 300H302M251 246V318M289 246V318"/></g>
<rect x="108" y="318" width="324" height="14" fill="#a9a294"/></g>
"##;

/// A range of hills as a smooth line through points of chance.
fn hill(base: i64, height: u64, colour: &str, chance: &mut Stream) -> String {
    let mut path = format!("M0 {base}");
    for step in 0..5_i64 {
        let (from, to) = (step * 160, (step + 1) * 160);
        let top = base - chance.below(height) as i64 - 10;
        path.push_str(&format!("Q{} {top} {to} {base}", (from + to) / 2));
    }
    format!(r#"<path d="{path}V420H0Z" fill="{colour}"/>"#)
}

fn tree(chance: &mut Stream) -> String {
    let mut tree = String::from(
        r##"<path d="M600 340Q606 270 596 220M602 280Q630 250 650 240M600 262Q572 236 556 232" fill="none" stroke="#5d4430" stroke-width="10" stroke-linecap="round"/>"##,
    );
    for leaf in 0..70 {
        let (x, y) = (520 + chance.below(170), 160 + chance.below(90));
        let colour = ["#7d9b4e", "#98ad57", "#c08a3e"][leaf % 3];
        tree.push_str(&format!(
            r#"<circle cx="{x}" cy="{y}" r="13" fill="{colour}" opacity=".8"/>"#
        ));
    }
    for _ in 0..16 {
        let (x, y) = (530 + chance.below(150), 170 + chance.below(80));
        tree.push_str(&format!(
            r##"<circle cx="{x}" cy="{y}" r="6" fill="#e0622a"/>"##
        ));
    }
    tree
}

fn jars() -> String {
    let jar = |(x, y, size): (i64, i64, i64)| {
        format!(
            r##"<g fill="#6b4632"><ellipse cx="{x}" cy="{y}" rx="{size}" ry="{}"/><rect x="{}" y="{}" width="{size}" height="8" rx="3" fill="#54351f"/></g>"##,
            size * 5 / 4,
            x - size / 2,
            y - size * 3 / 2,
        )
    };
    let jars: String = [
        (470, 352, 20),
        (512, 358, 16),
        (548, 350, 22),
        (690, 356, 18),
    ]
    .map(jar)
    .concat();
    format!(r##"<rect x="440" y="370" width="290" height="18" rx="4" fill="#b3ab9b"/>{jars}"##)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_same_each_time_and_says_what_it_shows() {
        let svg = draw();
        assert_eq!(svg, draw());
        assert!(svg.contains("<title id=\"title\">") && svg.ends_with("</svg>\n"));
        assert_eq!(svg.matches("<g").count(), svg.matches("</g>").count());
    }
}
