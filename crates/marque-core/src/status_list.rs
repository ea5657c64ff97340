//! The bits of a status list (Token Status List): which of many tokens hold no longer, two bits for each.

/// Bits of one status. Two leave room for a state between valid and invalid.
pub const BITS: u32 = 2;
/// Statuses in one octet.
const PER_BYTE: usize = 4;

/// What a list says of one token (Token Status List, "Status Types").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It is not revoked. Whether its time is over is another question, which comes first.
    Valid,
    /// It was revoked, for good.
    Invalid,
    /// It does not hold at present.
    Suspended,
}

impl Status {
    /// Its number on the wire.
    pub const fn number(self) -> u8 {
        match self {
            Self::Valid => 0,
            Self::Invalid => 1,
            Self::Suspended => 2,
        }
    }
}

/// The octets of a list of `size` places, before they are compressed: the first status in the lowest bits of the first
/// octet. A place that is not set is valid; one beyond the list is left out.
pub fn pack(size: usize, set: impl IntoIterator<Item = (usize, u8)>) -> Vec<u8> {
    let mut bytes = vec![0_u8; size.div_ceil(PER_BYTE)];
    for (index, status) in set.into_iter().filter(|(index, _)| *index < size) {
        let shift = (index % PER_BYTE) * 2;
        if let Some(byte) = bytes.get_mut(index / PER_BYTE) {
            *byte = (*byte & !(3 << shift)) | ((status & 3) << shift);
        }
    }
    bytes
}

/// The status at a place; none beyond the list.
pub fn status_at(bytes: &[u8], index: usize) -> Option<u8> {
    bytes.get(index / PER_BYTE).map(|byte| (byte >> ((index % PER_BYTE) * 2)) & 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_status_is_in_the_lowest_bits() {
        assert_eq!(pack(4, [(0, Status::Invalid.number())]), [0b0000_0001]);
        assert_eq!(pack(5, [(3, Status::Suspended.number()), (4, 3)]), [0b1000_0000, 0b0000_0011]);
        assert_eq!(pack(4, [(4, 1)]), [0], "beyond the list");
        assert_eq!(pack(4, [(1, 3), (1, 2)]), [0b0000_1000], "the later one counts");
        assert_eq!(Status::Valid.number(), status_at(&pack(8, []), 7).unwrap());
        assert_eq!(status_at(&[0], 4), None);
    }
}
