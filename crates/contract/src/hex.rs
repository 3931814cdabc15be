//! Hashes as text: lower-case hexadecimal digits, as `sha256sum` prints them.

/// The digits of `bytes`, two each, in lower case.
///
/// ```
/// assert_eq!(occdepth_contract::hex::digits(&[0x0f, 0xa0]), "0fa0");
/// ```
pub fn digits(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

/// Whether `text` is a SHA-256 as [`digits`] writes it: 64 digits, letters in lower case.
///
/// ```
/// use occdepth_contract::hex;
/// assert!(hex::is_sha256(&hex::digits(&[0xab; 32])));
/// assert!(!hex::is_sha256(&"AB".repeat(32)));
/// ```
pub fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
