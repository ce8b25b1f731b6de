//! A small PNG encoder (PNG, third edition, W3C 2025): colours from a palette, deflate's stored blocks (RFC 1951, 3.2.4), nothing compressed.

/// Octets in one stored block.
const BLOCK_BYTES_MAX: usize = 65_535;
const SIGNATURE: [u8; 8] = [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n'];

/// A picture of `width` columns; `pixels` are places in `palette`, row by row.
pub(super) fn encode(width: u32, palette: &[[u8; 3]], pixels: &[u8]) -> Vec<u8> {
    let rows = pixels.chunks_exact(width as usize);
    let mut header = Vec::new();
    header.extend(width.to_be_bytes());
    header.extend((rows.len() as u32).to_be_bytes());
    // Eight bits, by palette; deflate, adaptive filters, no interlace.
    header.extend([8, 3, 0, 0, 0]);
    let mut lines = Vec::with_capacity(pixels.len() + rows.len());
    for row in rows {
        // No filter.
        lines.push(0);
        lines.extend(row);
    }
    let mut png = SIGNATURE.to_vec();
    chunk(&mut png, b"IHDR", &header);
    chunk(&mut png, b"PLTE", palette.as_flattened());
    chunk(&mut png, b"IDAT", &zlib(&lines));
    chunk(&mut png, b"IEND", &[]);
    png
}

fn chunk(png: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) {
    png.extend((data.len() as u32).to_be_bytes());
    let start = png.len();
    png.extend(kind);
    png.extend(data);
    let check = crc(&png[start..]);
    png.extend(check.to_be_bytes());
}

/// RFC 1950.
fn zlib(data: &[u8]) -> Vec<u8> {
    let mut stream = vec![0x78, 0x01];
    let mut blocks = data.chunks(BLOCK_BYTES_MAX).peekable();
    while let Some(block) = blocks.next() {
        let length = block.len() as u16;
        stream.push(u8::from(blocks.peek().is_none()));
        stream.extend(length.to_le_bytes());
        stream.extend((!length).to_le_bytes());
        stream.extend(block);
    }
    stream.extend(adler(data).to_be_bytes());
    stream
}

fn crc(data: &[u8]) -> u32 {
    let step = |crc: u32, octet: &u8| {
        (0..8).fold(crc ^ u32::from(*octet), |crc, _| {
            let shifted = crc >> 1;
            if crc & 1 == 1 {
                shifted ^ 0xedb8_8320
            } else {
                shifted
            }
        })
    };
    !data.iter().fold(u32::MAX, step)
}

fn adler(data: &[u8]) -> u32 {
    let step = |(low, high): (u32, u32), octet: &u8| {
        let low = (low + u32::from(*octet)) % 65_521;
        (low, (high + low) % 65_521)
    };
    let (low, high) = data.iter().fold((1, 0), step);
    high << 16 | low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_the_published_ones() {
        assert_eq!(crc(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc(b"IEND"), 0xae42_6082);
        assert_eq!(adler(b"Wikipedia"), 0x11e6_0398);
    }

    #[test]
    fn a_picture_of_two_points_is_this_one() {
        let png = encode(2, &[[0, 0, 0], [255, 255, 255]], &[0, 1]);
        let idat = [
            0, 0, 0, 14, b'I', b'D', b'A', b'T', 0x78, 0x01, 1, 3, 0, 0xfc, 0xff, 0, 0, 1, 0, 4, 0,
            2,
        ];
        assert_eq!(png[..8], SIGNATURE);
        assert_eq!(png[16..29], [0, 0, 0, 2, 0, 0, 0, 1, 8, 3, 0, 0, 0]);
        assert!(
            png.windows(idat.len()).any(|window| window == idat),
            "{png:02x?}"
        );
        assert!(png.ends_with(&[b'I', b'E', b'N', b'D', 0xae, 0x42, 0x60, 0x82]));
    }
}
