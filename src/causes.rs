//! Errors with their causes.

use std::error::Error;
use std::fmt;

/// An error and its causes on one line, for logs and reports.
///
/// ```
/// use occdepth::causes::WithCauses;
///
/// let io = std::io::Error::other("the disk is full");
/// assert_eq!(WithCauses(&io).to_string(), "the disk is full");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct WithCauses<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for WithCauses<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl From<WithCauses<'_>> for String {
    fn from(error: WithCauses<'_>) -> Self {
        error.to_string()
    }
}
