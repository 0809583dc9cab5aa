//! What is to be sent first (RFC 9218).

/// Of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Priority {
    /// 0 is the most urgent, 7 the least.
    pub(super) urgency: u8,
    /// It is of use in parts: those of one urgency are sent side by side.
    pub(super) incremental: bool,
}

impl Default for Priority {
    fn default() -> Self {
        Self { urgency: 3, incremental: false }
    }
}

impl Priority {
    /// Reads the field's value: of a dictionary (RFC 8941 §3.2) the members `u` and `i`; what is not understood leaves
    /// them as they are (RFC 9218 §4). A later member of a name holds.
    pub(super) fn read(value: &[u8]) -> Self {
        Self::default().updated(value)
    }

    /// What `value` says instead, where it says anything (RFC 9218 §8).
    pub(super) fn updated(mut self, value: &[u8]) -> Self {
        for member in value.split(|&octet| octet == b',') {
            let member = member.trim_ascii();
            let item = member.split(|&octet| octet == b';').next().unwrap_or_default().trim_ascii();
            match item {
                [b'u', b'=', digit @ b'0'..=b'7'] => self.urgency = digit - b'0',
                b"i" | b"i=?1" => self.incremental = true,
                b"i=?0" => self.incremental = false,
                _ => {}
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_members_are_understood() {
        for (value, urgency, incremental) in [
            ("", 3, false),
            ("u=0", 0, false),
            ("u=7,i", 7, true),
            ("i, u=5", 5, true),
            ("u=1;a=b, i=?1", 1, true),
            ("i, i=?0", 3, false),
            ("u=2, u=4", 4, false),
            // RFC 9218 §4.1: out of range, or of another type
            ("u=8", 3, false),
            ("u=-1", 3, false),
            ("u=1.5, i=1", 3, false),
            ("U=1, I", 3, false),
            ("u=10", 3, false),
            ("x=\"a\", u=6", 6, false),
        ] {
            assert_eq!(Priority::read(value.as_bytes()), Priority { urgency, incremental }, "{value}");
        }
        assert_eq!(Priority::read(b"u=1, i").updated(b"u=5"), Priority { urgency: 5, incremental: true });
    }
}
