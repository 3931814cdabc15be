//! The stack machine that a pickle is a program for.
//!
//! Whatever the program does, memory stays in proportion to its length: values, marks and the memo
//! are bounded, and so are the texts that two bytes of a program can name again.

use std::collections::HashMap;

use super::{Call, Id, Node, PickleError};

/// The stack machine.
#[derive(Default)]
pub(super) struct Machine<'a> {
    bytes: &'a [u8],
    /// Offset of the next byte.
    pub(super) at: usize,
    /// All values made so far.
    pub(super) nodes: Vec<Node>,
    stack: Vec<Id>,
    /// Heights of the stack at its marks.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
    /// Bytes in the names of all globals.
    global_bytes: usize,
}

impl<'a> Machine<'a> {
    /// A machine before the first opcode of the program `bytes`.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, ..Self::default() }
    }

    /// Runs the program to its end; returns the value that it makes.
    pub(super) fn run(&mut self) -> Result<Id, PickleError> {
        loop {
            let at = self.at;
            let opcode = self.byte()?;
            match opcode {
                b'.' => return self.pop(),
                b'(' => self.push_mark()?,
                b'0' => self.discard()?,
                // A set's items are not kept, nor is what a mark discards.
                b'1' | 0x90 => drop(self.pop_to_mark()?),
                b'2' => {
                    let top = self.top()?;
                    self.push_again(top)?;
                }
                // Constants.
                b'N' => self.push(Node::None)?,
                0x88 | 0x89 => self.push(Node::Bool(opcode == 0x88))?,
                b'K' => {
                    let value = self.byte()?;
                    self.push(Node::Int(value.into()))?;
                }
                b'M' => {
                    let value = u16::from_le_bytes(self.array()?);
                    self.push(Node::Int(value.into()))?;
                }
                b'J' => {
                    let value = i32::from_le_bytes(self.array()?);
                    self.push(Node::Int(value.into()))?;
                }
                0x8a | 0x8b => {
                    let len =
                        if opcode == 0x8a { self.length::<1>()? } else { self.length::<4>()? };
                    let number = integer(self.take(len)?);
                    self.push(number)?;
                }
                b'G' => {
                    self.take(8)?;
                    self.push(Node::Number)?;
                }
                // Strings: of Python 2, of Python 3, and bytes.
                b'U' | 0x8c => {
                    let len = self.length::<1>()?;
                    self.push_text(len)?;
                }
                b'T' | b'X' => {
                    let len = self.length::<4>()?;
                    self.push_text(len)?;
                }
                0x8d => {
                    let len = self.length::<8>()?;
                    self.push_text(len)?;
                }
                b'C' => {
                    let len = self.length::<1>()?;
                    self.push_bytes(len)?;
                }
                b'B' => {
                    let len = self.length::<4>()?;
                    self.push_bytes(len)?;
                }
                0x8e | 0x96 => {
                    let len = self.length::<8>()?;
                    self.push_bytes(len)?;
                }
                // Containers.
                b')' => self.push(Node::Tuple(Vec::new()))?,
                b']' => self.push(Node::List(Vec::new()))?,
                b'}' => self.push(Node::Dict(Vec::new()))?,
                0x8f => self.push(Node::Set)?,
                0x85..=0x87 => {
                    let mut items = Vec::new();
                    for _ in 0x85..=opcode {
                        items.push(self.pop()?);
                    }
                    items.reverse();
                    self.push(Node::Tuple(items))?;
                }
                b't' => {
                    let items = self.pop_to_mark()?;
                    self.push(Node::Tuple(items))?;
                }
                b'l' => {
                    let items = self.pop_to_mark()?;
                    self.push(Node::List(items))?;
                }
                b'd' => {
                    let entries = pairs(&self.pop_to_mark()?).ok_or_else(|| self.invalid(PAIRS))?;
                    self.push(Node::Dict(entries))?;
                }
                0x91 => {
                    self.pop_to_mark()?;
                    self.push(Node::Set)?;
                }
                b'a' => {
                    let item = self.pop()?;
                    self.append(&[item])?;
                }
                b'e' => {
                    let items = self.pop_to_mark()?;
                    self.append(&items)?;
                }
                b's' => {
                    let value = self.pop()?;
                    let key = self.pop()?;
                    self.set_items(&[key, value])?;
                }
                b'u' => {
                    let items = self.pop_to_mark()?;
                    self.set_items(&items)?;
                }
                // Names, and what would be calls.
                b'c' => {
                    let module = self.line()?;
                    let name = self.line()?;
                    self.push_global(module, name)?;
                }
                0x93 => {
                    let (name, module) = (self.pop()?, self.pop()?);
                    self.push_global_of(module, name)?;
                }
                b'R' | 0x81 => {
                    let arguments = self.pop()?;
                    self.call(arguments)?;
                }
                0x92 => {
                    self.pop()?; // keyword arguments
                    let arguments = self.pop()?;
                    self.call(arguments)?;
                }
                b'b' => {
                    self.pop()?;
                    let object = self.top()?;
                    if let Node::Call(call) = &mut self.nodes[object.0 as usize] {
                        call.has_state = true;
                    }
                }
                b'Q' => {
                    let id = self.pop()?;
                    self.push(Node::Persistent(id))?;
                }
                // The memo.
                b'q' => {
                    let index = self.byte()?.into();
                    self.memoize(index)?;
                }
                b'r' => {
                    let index = u32::from_le_bytes(self.array()?);
                    self.memoize(index)?;
                }
                0x94 => {
                    let index = u32::try_from(self.memo.len()).expect("the memo is bounded");
                    self.memoize(index)?;
                }
                b'h' => {
                    let index = self.byte()?.into();
                    self.recall(index)?;
                }
                b'j' => {
                    let index = u32::from_le_bytes(self.array()?);
                    self.recall(index)?;
                }
                // Framing.
                0x80 => drop(self.byte()?),
                0x95 => drop(self.array::<8>()?),
                _ => return Err(PickleError::Opcode { at, opcode }),
            }
        }
    }

    fn invalid(&self, expected: &'static str) -> PickleError {
        PickleError::Invalid { at: self.at, expected }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], PickleError> {
        let rest = &self.bytes[self.at..];
        let taken = rest.get(..len).ok_or(PickleError::Truncated { at: self.at })?;
        self.at += len;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], PickleError> {
        let bytes = self.take(N)?;
        Ok(bytes.try_into().expect("N bytes were taken"))
    }

    fn byte(&mut self) -> Result<u8, PickleError> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// A length of N bytes, little-endian.
    fn length<const N: usize>(&mut self) -> Result<usize, PickleError> {
        let mut bytes = [0; 8];
        bytes[..N].copy_from_slice(&self.array::<N>()?);
        // A length that does not fit into memory is longer than the bytes that are left.
        usize::try_from(u64::from_le_bytes(bytes))
            .map_err(|_| PickleError::Truncated { at: self.at })
    }

    /// Text up to the end of the line.
    fn line(&mut self) -> Result<&'a [u8], PickleError> {
        let rest = &self.bytes[self.at..];
        let len = rest.iter().position(|&byte| byte == b'\n');
        let len = len.ok_or(PickleError::Truncated { at: self.at })?;
        self.at += len + 1;
        Ok(&rest[..len])
    }

    fn push(&mut self, node: Node) -> Result<(), PickleError> {
        bounded(self.nodes.len(), MAX_NODES, "values")?;
        let id = Id(u32::try_from(self.nodes.len()).expect("values are bounded"));
        self.nodes.push(node);
        self.push_again(id)
    }

    /// A value that was made before.
    fn push_again(&mut self, id: Id) -> Result<(), PickleError> {
        bounded(self.stack.len(), MAX_NODES, "values on its stack")?;
        self.stack.push(id);
        Ok(())
    }

    fn push_mark(&mut self) -> Result<(), PickleError> {
        bounded(self.marks.len(), MAX_NODES, "marks")?;
        self.marks.push(self.stack.len());
        Ok(())
    }

    /// A text; a long one is nothing that a checkpoint is understood by, and not kept.
    fn push_text(&mut self, len: usize) -> Result<(), PickleError> {
        let bytes = self.take(len)?;
        if len > MAX_TEXT_BYTES {
            return self.push(Node::Bytes);
        }
        self.push(Node::Text(String::from_utf8_lossy(bytes).into()))
    }

    /// The global of two lines of the program.
    fn push_global(&mut self, module: &[u8], name: &[u8]) -> Result<(), PickleError> {
        let len = module.len().saturating_add(name.len());
        self.count_global(len)?;
        let (module, name) = (String::from_utf8_lossy(module), String::from_utf8_lossy(name));
        self.push(Node::Global(format!("{module}.{name}").into()))
    }

    /// The global of two texts, which the program may use any number of times.
    fn push_global_of(&mut self, module: Id, name: Id) -> Result<(), PickleError> {
        let (Node::Text(module), Node::Text(name)) =
            (&self.nodes[module.0 as usize], &self.nodes[name.0 as usize])
        else {
            return Err(self.invalid("a global needs two strings, which are not long"));
        };
        let (len, global) = (module.len() + name.len(), format!("{module}.{name}"));
        self.count_global(len)?;
        self.push(Node::Global(global.into()))
    }

    /// Bounds one global's name and the names of all.
    fn count_global(&mut self, len: usize) -> Result<(), PickleError> {
        if len > MAX_TEXT_BYTES {
            return Err(self.invalid("the name of a global is at most 1 KiB long"));
        }
        bounded(self.global_bytes, MAX_GLOBAL_BYTES, "names of globals")?;
        self.global_bytes += len;
        Ok(())
    }

    fn push_bytes(&mut self, len: usize) -> Result<(), PickleError> {
        self.take(len)?;
        self.push(Node::Bytes)
    }

    /// The value on top of the stack, above the last mark.
    fn top(&self) -> Result<Id, PickleError> {
        let bottom = self.marks.last().copied().unwrap_or(0);
        let top = self.stack[bottom..].last();
        top.copied().ok_or_else(|| self.invalid("the stack holds too few values"))
    }

    fn pop(&mut self) -> Result<Id, PickleError> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    /// Removes the value on top, or the mark if it is there.
    fn discard(&mut self) -> Result<(), PickleError> {
        if self.marks.last() == Some(&self.stack.len()) {
            self.marks.pop();
            return Ok(());
        }
        self.pop().map(drop)
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Id>, PickleError> {
        let mark = self.marks.pop().ok_or_else(|| self.invalid("there is no mark on the stack"))?;
        Ok(self.stack.split_off(mark))
    }

    /// Adds items to the list on top; what objects do with them is not known.
    fn append(&mut self, items: &[Id]) -> Result<(), PickleError> {
        let list = self.top()?;
        match &mut self.nodes[list.0 as usize] {
            Node::List(list) => list.extend_from_slice(items),
            Node::Call(call) => call.has_state = true,
            _ => return Err(self.invalid("only lists and objects take items")),
        }
        Ok(())
    }

    /// Adds key-value pairs to the dictionary or object on top.
    fn set_items(&mut self, items: &[Id]) -> Result<(), PickleError> {
        let new = pairs(items).ok_or_else(|| self.invalid(PAIRS))?;
        let dict = self.top()?;
        match &mut self.nodes[dict.0 as usize] {
            Node::Dict(entries) => entries.extend(new),
            Node::Call(call) => call.entries.extend(new),
            _ => return Err(self.invalid("only dictionaries and objects take entries")),
        }
        Ok(())
    }

    /// Records the call of the value on top.
    fn call(&mut self, arguments: Id) -> Result<(), PickleError> {
        let callable = self.pop()?;
        let call = Call { callable, arguments, entries: Vec::new(), has_state: false };
        self.push(Node::Call(Box::new(call)))
    }

    /// Notes the value on top, for [`Self::recall`].
    fn memoize(&mut self, index: u32) -> Result<(), PickleError> {
        bounded(self.memo.len(), MAX_NODES, "values in its memo")?;
        self.memo.insert(index, self.top()?);
        Ok(())
    }

    fn recall(&mut self, index: u32) -> Result<(), PickleError> {
        let id = self.memo.get(&index).copied();
        let id = id.ok_or_else(|| self.invalid("the memo does not hold that value"))?;
        self.push_again(id)
    }
}

/// Refuses one more of `what` beyond `max`.
fn bounded(len: usize, max: usize, what: &'static str) -> Result<(), PickleError> {
    if len < max { Ok(()) } else { Err(PickleError::TooLarge { what }) }
}

/// A two's complement integer of any length, little-endian.
fn integer(bytes: &[u8]) -> Node {
    if bytes.len() > 8 {
        return Node::Number;
    }
    let negative = bytes.last().is_some_and(|&byte| byte >= 0x80);
    let mut value = [if negative { 0xff } else { 0 }; 8];
    value[..bytes.len()].copy_from_slice(bytes);
    Node::Int(i64::from_le_bytes(value))
}

fn pairs(items: &[Id]) -> Option<Vec<(Id, Id)>> {
    let (pairs, rest) = items.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|&[key, value]| (key, value)).collect())
}

const PAIRS: &str = "a dictionary needs pairs of keys and values";
/// A checkpoint of three thousand tensors has about fifty thousand values.
pub(super) const MAX_NODES: usize = 1 << 22;
/// Names of tensors have about a hundred bytes, those of globals fifty.
pub(super) const MAX_TEXT_BYTES: usize = 1 << 10;
/// Pickles name a global once, and recall it.
pub(super) const MAX_GLOBAL_BYTES: usize = 1 << 24;
