//! A picture by points: the moon over the sea, drawn with whole numbers only.

use super::{noise::Stream, png};

const WIDTH: i64 = 640;
const HEIGHT: i64 = 360;
/// The first row of the sea.
const HORIZON: i64 = 210;
/// Where the moon's middle is, and how far it reaches.
const MOON: (i64, i64, i64) = (430, 92, 34);
/// Places in the palette: the sky from top to bottom, the sea, then the light.
const SHADES: i64 = 30;
const LIGHT: u8 = 60;
const GLIMMER: u8 = 61;
const STAR: u8 = 62;

/// The picture, as PNG.
pub(super) fn draw() -> Vec<u8> {
    let mut chance = Stream(7);
    let points = (0..HEIGHT).flat_map(|y| (0..WIDTH).map(move |x| (x, y)));
    let pixels: Vec<u8> = points.map(|(x, y)| point(x, y, &mut chance)).collect();
    png::encode(WIDTH as u32, &palette(), &pixels)
}

fn palette() -> Vec<[u8; 3]> {
    let blend = |from: [i64; 3], to: [i64; 3], at: i64| {
        [0, 1, 2].map(|part| (from[part] + (to[part] - from[part]) * at / (SHADES - 1)) as u8)
    };
    let sky = (0..SHADES).map(|at| blend([12, 18, 46], [92, 108, 158], at));
    let sea = (0..SHADES).map(|at| blend([64, 84, 128], [8, 16, 36], at));
    let light = [[250, 244, 220], [206, 206, 204], [226, 232, 250]];
    sky.chain(sea).chain(light).collect()
}

fn point(x: i64, y: i64, chance: &mut Stream) -> u8 {
    let grain = chance.below(8) as i64;
    let shade = |part: i64, whole: i64| (part * (SHADES - 1) * 8 / whole + grain) / 8;
    if y < HORIZON {
        let (moon_x, moon_y, reach) = MOON;
        let away = (x - moon_x).pow(2) + (y - moon_y).pow(2);
        if away <= reach.pow(2) {
            return LIGHT;
        }
        if chance.below(900) == 0 && y < HORIZON - 40 {
            return STAR;
        }
        // A glow that falls off with the square of the distance.
        let glow = (reach.pow(2) * 8 / away.max(1)).min(8);
        return (shade(y, HORIZON) + glow).min(SHADES - 1) as u8;
    }
    let depth = y - HORIZON;
    let width = 10 + depth / 2;
    let on_path = (x - MOON.0).abs() < width && chance.below(100) < 46 && (y + x / 40) % 4 < 2;
    if on_path {
        return if chance.below(3) == 0 { LIGHT } else { GLIMMER };
    }
    let wave = i64::from((x + depth * 7) % 37 < 3 && depth % 9 < 2) * 3;
    (SHADES + (shade(depth, HEIGHT - HORIZON) - wave).clamp(0, SHADES - 1)) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_point_has_a_colour() {
        let mut chance = Stream(7);
        let colours = palette().len();
        for y in 0..HEIGHT {
            for x in 0..WIDTH {
                assert!(usize::from(point(x, y, &mut chance)) < colours, "{x} {y}");
            }
        }
    }
}
