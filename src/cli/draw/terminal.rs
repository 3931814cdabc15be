//! Drawing on a terminal: two cells of the view in each character, in colour where the terminal has it.

use super::{Palette, TopDown};
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};

/// What standard output can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Terminal {
    /// A terminal with colours.
    Colour,
    /// A terminal whose user does not want colours (`NO_COLOR`), or a `dumb` one.
    Plain,
    /// A file or a pipe: nothing is drawn.
    None,
}

impl Terminal {
    /// Looks at standard output and at `NO_COLOR` and `TERM` (<https://no-color.org>).
    pub(crate) fn detect() -> Self {
        if !io::stdout().is_terminal() {
            return Self::None;
        }
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        if unwanted || dumb { Self::Plain } else { Self::Colour }
    }

    /// Draws `view` and `lines` below it from the top of the screen, over what was there.
    pub(crate) fn draw(
        self,
        view: &TopDown,
        palette: &Palette,
        lines: &[String],
    ) -> io::Result<()> {
        let mut text = String::new();
        match self {
            Self::None => return Ok(()),
            Self::Colour => {
                text.push_str("\x1b[H");
                half_blocks(&mut text, view, palette);
                for line in lines {
                    let _ = writeln!(text, "\x1b[0m{line}\x1b[K");
                }
                text.push_str("\x1b[J");
            }
            Self::Plain => {
                for row in view.classes.chunks_exact(view.columns).step_by(2) {
                    text.extend(row.iter().map(|&class| palette.letter(class)));
                    text.push('\n');
                }
                for line in lines {
                    let _ = writeln!(text, "{line}");
                }
            }
        }
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    /// Clears the screen and hides the cursor; [`Terminal::leave`] undoes it.
    pub(crate) fn enter(self) -> io::Result<()> {
        self.control("\x1b[2J\x1b[?25l")
    }

    /// Shows the cursor again.
    pub(crate) fn leave(self) -> io::Result<()> {
        self.control("\x1b[0m\x1b[?25h")
    }

    fn control(self, sequence: &str) -> io::Result<()> {
        if self == Self::Colour {
            let mut out = io::stdout().lock();
            out.write_all(sequence.as_bytes())?;
            out.flush()?;
        }
        Ok(())
    }
}

/// The rows and columns of a view that fit the terminal above `lines` lines of text: at most `rows` by
/// `columns`, in the proportions of the view.
pub(crate) fn screen_cells(rows: usize, columns: usize, lines: usize) -> (usize, usize) {
    let (width, height) = rustix::termios::tcgetwinsize(io::stdout())
        .ok()
        .filter(|size| size.ws_col > 0 && size.ws_row > 0)
        .map_or((80, 40), |size| (usize::from(size.ws_col), usize::from(size.ws_row)));
    let available_rows = 2 * height.saturating_sub(lines + 1).max(4);
    // The largest divisor-free scale that fits both ways.
    let fit = |cells: usize, available: usize| cells.div_ceil(available).max(1);
    let scale = fit(rows, available_rows).max(fit(columns, width));
    ((rows / scale).max(2) & !1, (columns / scale).max(1))
}

/// An upper half block shows two cells: the foreground is the upper, the background the lower.
fn half_blocks(text: &mut String, view: &TopDown, palette: &Palette) {
    for pair in view.classes.chunks(2 * view.columns) {
        let (upper, lower) = pair.split_at(view.columns.min(pair.len()));
        let mut last = None;
        for (column, &class) in upper.iter().enumerate() {
            let colours = (palette.colour(class), lower.get(column).map(|&c| palette.colour(c)));
            if last != Some(colours) {
                let [r, g, b] = colours.0;
                let _ = write!(text, "\x1b[38;2;{r};{g};{b}m");
                match colours.1 {
                    Some([r, g, b]) => {
                        let _ = write!(text, "\x1b[48;2;{r};{g};{b}m");
                    }
                    None => text.push_str("\x1b[49m"),
                }
                last = Some(colours);
            }
            text.push('▀');
        }
        text.push_str("\x1b[0m\x1b[K\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_rows_share_a_line() {
        let palette = Palette::new([(1, "car", [1, 2, 3]), (2, "road", [4, 5, 6])].into_iter());
        let view = TopDown { rows: 2, columns: 2, classes: vec![1, 1, 2, 2] };
        let mut text = String::new();
        half_blocks(&mut text, &view, &palette);
        assert_eq!(text, "\x1b[38;2;1;2;3m\x1b[48;2;4;5;6m▀▀\x1b[0m\x1b[K\n");
    }

    #[test]
    fn letters_are_distinct() {
        let names = ["empty", "car", "truck", "traffic-sign", "trunk"];
        let palette = Palette::new((0..).zip(names).map(|(id, name)| (id, name, [0; 3])));
        let mut letters: Vec<_> = (0..5).map(|id| palette.letter(id)).collect();
        letters.sort_unstable();
        letters.dedup();
        assert_eq!(letters.len(), 5);
    }
}
