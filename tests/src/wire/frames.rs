//! Frames of QUIC, as far as one has to know them to find those of streams.

/// A piece of a stream.
pub(super) struct Said {
    pub(super) stream: u64,
    pub(super) offset: u64,
    pub(super) data: Vec<u8>,
}

struct Frames<'a>(&'a [u8]);

impl<'a> Frames<'a> {
    fn take(&mut self, count: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(usize::try_from(count).ok()?)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u64> {
        let first = *self.0.first()?;
        let bytes = self.take(1 << (first >> 6))?;
        let all = bytes.iter().fold(0, |n, byte| n << 8 | u64::from(*byte));
        Some(all & (u64::MAX >> (66 - 8 * bytes.len())))
    }

    fn numbers(&mut self, count: usize) -> Option<()> {
        for _ in 0..count {
            self.number()?;
        }
        Some(())
    }

    fn sized(&mut self) -> Option<&'a [u8]> {
        let size = self.number()?;
        self.take(size)
    }

    fn acknowledged(&mut self, counted: bool) -> Option<()> {
        self.numbers(2)?;
        let ranges = self.number()?;
        self.number()?;
        for _ in 0..ranges {
            self.numbers(2)?;
        }
        self.numbers(if counted { 3 } else { 0 })
    }

    fn connection_id(&mut self) -> Option<()> {
        self.numbers(2)?;
        let size = *self.take(1)?.first()?;
        self.take(u64::from(size) + 16).map(drop)
    }

    fn address(&mut self, bytes: u64) -> Option<()> {
        self.number()?;
        self.take(bytes + 2).map(drop)
    }
}

/// Reads the frames of a packet; `None` if one of them is none that is known.
pub(super) fn read(plain: &[u8], said: &mut Vec<Said>) -> Option<()> {
    let mut frames = Frames(plain);
    while !frames.0.is_empty() {
        let kind = frames.number()?;
        match kind {
            0 | 1 | 0x1e | 0x1f => {}
            2 | 3 => frames.acknowledged(kind == 3)?,
            4 => frames.numbers(3)?,
            5 => frames.numbers(2)?,
            6 => {
                frames.number()?;
                frames.sized()?;
            }
            7 => drop(frames.sized()?),
            0x08..=0x0f => {
                let stream = frames.number()?;
                let offset = if kind & 4 == 0 { 0 } else { frames.number()? };
                let data =
                    if kind & 2 == 0 { std::mem::take(&mut frames.0) } else { frames.sized()? };
                said.push(Said { stream, offset, data: data.to_vec() });
            }
            0x10 | 0x12 | 0x13 | 0x14 | 0x16 | 0x17 | 0x19 => frames.numbers(1)?,
            0x11 | 0x15 => frames.numbers(2)?,
            0x18 => frames.connection_id()?,
            0x1a | 0x1b => drop(frames.take(8)?),
            0x1c => {
                frames.numbers(2)?;
                frames.sized()?;
            }
            0x1d => {
                frames.number()?;
                frames.sized()?;
            }
            0x30 => frames.0 = &[],
            0x31 => drop(frames.sized()?),
            // How often to acknowledge, addresses that were seen, several paths, other addresses.
            0xaf => frames.numbers(4)?,
            0x9f_81a6 | 0x3d_7f90 | 0x3d_7f92 => frames.address(4)?,
            0x9f_81a7 | 0x3d_7f91 | 0x3d_7f93 => frames.address(16)?,
            0x3e | 0x3f => {
                frames.number()?;
                frames.acknowledged(kind == 0x3f)?;
            }
            0x3e75..=0x3e77 | 0x3e79..=0x3e7c => of_paths(&mut frames, kind)?,
            0x3e78 => {
                frames.number()?;
                frames.connection_id()?;
            }
            0x3d_7f94 => frames.numbers(1)?,
            _ => return None,
        }
    }
    Some(())
}

fn of_paths(frames: &mut Frames<'_>, kind: u64) -> Option<()> {
    frames.numbers(if matches!(kind, 0x3e7a | 0x3e7b) { 1 } else { 2 })
}

/// Of a packet with a long header: whether it brings data before the handshake is over, and how
/// long it is.
pub(super) fn long(packet: &[u8]) -> Option<(bool, usize)> {
    let mut rest = Frames(packet);
    let first = *rest.take(1)?.first()?;
    let version = rest.take(4)?;
    for _ in 0..2 {
        let size = *rest.take(1)?.first()?;
        rest.take(u64::from(size))?;
    }
    if version == [0; 4] {
        return Some((false, packet.len()));
    }
    match first >> 4 & 3 {
        0 => drop(rest.sized()?),
        3 => return Some((false, packet.len())),
        _ => {}
    }
    let length = rest.number()?;
    rest.take(length)?;
    Some((first >> 4 & 3 == 1, packet.len() - rest.0.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_four_lengths() {
        // The examples of RFC 9000, appendix A.1.
        for (bytes, number) in [
            (&[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c][..], 151_288_809_941_952_652),
            (&[0x9d, 0x7f, 0x3e, 0x7d], 494_878_333),
            (&[0x7b, 0xbd], 15_293),
            (&[0x25], 37),
        ] {
            assert_eq!(Frames(bytes).number(), Some(number));
        }
        assert_eq!(Frames(&[0x40]).number(), None);
    }
}
