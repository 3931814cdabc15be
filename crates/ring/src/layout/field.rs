//! One field of a header: a name, an offset, a size; reading and writing it in owned bytes.

/// A field of a header, as a row of the tables in `ABI.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// The name in `ABI.md`.
    pub name: &'static str,
    /// Bytes from the start of the header.
    pub offset: usize,
    /// Size in bytes.
    pub bytes: usize,
}

impl Field {
    /// The bytes of the field in `header`.
    ///
    /// # Panics
    /// When `header` is shorter than the header that the field belongs to: decoders check the
    /// length once, before they read fields.
    pub fn of<'a>(&self, header: &'a [u8]) -> &'a [u8] {
        &header[self.offset..self.offset + self.bytes]
    }

    pub(crate) fn put(&self, header: &mut [u8], value: &[u8]) {
        debug_assert!(value.len() <= self.bytes, "{} holds {} bytes", self.name, self.bytes);
        header[self.offset..self.offset + value.len()].copy_from_slice(value);
    }

    pub(crate) fn u32(&self, header: &[u8]) -> u32 {
        u32::from_le_bytes(self.array(header))
    }

    pub(crate) fn u64(&self, header: &[u8]) -> u64 {
        u64::from_le_bytes(self.array(header))
    }

    pub(crate) fn i64(&self, header: &[u8]) -> i64 {
        i64::from_le_bytes(self.array(header))
    }

    pub(crate) fn f64(&self, header: &[u8]) -> f64 {
        f64::from_le_bytes(self.array(header))
    }

    pub(crate) fn array<const N: usize>(&self, header: &[u8]) -> [u8; N] {
        let mut value = [0; N];
        value.copy_from_slice(self.of(header));
        value
    }

    pub(crate) fn f64s<const N: usize>(&self, header: &[u8]) -> [f64; N] {
        let mut values = [0.0; N];
        for (value, bytes) in values.iter_mut().zip(self.of(header).as_chunks::<8>().0) {
            *value = f64::from_le_bytes(*bytes);
        }
        values
    }

    pub(crate) fn put_f64s(&self, header: &mut [u8], values: &[f64]) {
        let field = &mut header[self.offset..self.offset + self.bytes];
        for (bytes, value) in field.as_chunks_mut::<8>().0.iter_mut().zip(values) {
            *bytes = value.to_le_bytes();
        }
    }

    /// Text: UTF-8, zero bytes to the end of the field, no zero byte before.
    pub(crate) fn text<'a>(&self, header: &'a [u8]) -> Option<&'a str> {
        padded_text(self.of(header))
    }
}

/// UTF-8 text at the start of `bytes`, followed by nothing but zero bytes.
pub(crate) fn padded_text(bytes: &[u8]) -> Option<&str> {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    let (text, padding) = bytes.split_at(end);
    if padding.iter().any(|&byte| byte != 0) {
        return None;
    }
    std::str::from_utf8(text).ok()
}

/// Declares the fields of one header: a documented constant for each, and a table of all.
macro_rules! fields {
    ($(#[$table_doc:meta])* $table:ident: $($(#[$doc:meta])* $name:ident, $text:literal, $offset:literal, $bytes:literal;)+) => {
        $($(#[$doc])* pub const $name: $crate::layout::Field =
            $crate::layout::Field { name: $text, offset: $offset, bytes: $bytes };)+
        $(#[$table_doc])*
        pub const $table: &[$crate::layout::Field] = &[$($name),+];
    };
}
pub(crate) use fields;
