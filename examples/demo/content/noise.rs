//! Files of chance: made from a seed, the same octets on every machine, written piece by piece.

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
};

/// Octets written at once; a multiple of eight.
const PIECE_BYTES: usize = 256 << 10;

/// Writes `length` octets of the stream of `seed`, unless a file of that length is there: it took its name only when it was whole.
pub(super) fn write(path: &Path, seed: u64, length: u64) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|there| there.len() == length) {
        return Ok(());
    }
    super::replace(path, |file| {
        let mut stream = Stream(seed);
        let mut piece = vec![0; PIECE_BYTES];
        let mut left = length;
        while left > 0 {
            stream.fill(&mut piece);
            let now = usize::try_from(left)
                .unwrap_or(PIECE_BYTES)
                .min(PIECE_BYTES);
            file.write_all(&piece[..now])?;
            left -= now as u64;
        }
        Ok(())
    })
}

/// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
pub(super) struct Stream(pub u64);

impl Stream {
    /// The next number.
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, as even as a picture needs it.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    fn fill(&mut self, piece: &mut [u8]) {
        for eight in piece.as_chunks_mut::<8>().0 {
            *eight = self.next().to_le_bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

    use super::*;

    #[test]
    fn the_stream_is_the_published_one() {
        let mut stream = Stream(1_234_567);
        let numbers = [stream.next(), stream.next(), stream.next()];
        let known = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
        ];
        assert_eq!(numbers, known);
    }

    #[test]
    fn a_file_has_its_length_and_each_seed_its_own_octets() {
        let folder = tempfile::tempdir().unwrap();
        let [one, two] = ["one", "two"].map(|name| folder.path().join(name));
        let length = PIECE_BYTES as u64 + 3;
        write(&one, 1, length).unwrap();
        write(&two, 2, length).unwrap();
        let [one, two] = [one, two].map(|path| fs::read(path).unwrap());
        assert_eq!((one.len() as u64, two.len() as u64), (length, length));
        assert_ne!(one, two);
    }
}
