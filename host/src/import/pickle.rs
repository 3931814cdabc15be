//! A pickle as data: what it says, without doing what it says.
//!
//! A pickle is a program for a stack machine that names functions and calls them. This machine runs
//! the same opcodes and calls nothing: a global is its name, and a call is a [`Node::Call`] with its
//! callable and arguments, whatever they are. Who reads the result decides which of a few known
//! calls it understands.
//!
//! Values lie in one list and refer to each other by index, so that shared and circular values cost
//! nothing, and nothing recurses. Every opcode makes at most one value, so memory grows with the
//! pickle's own size, and [`MAX_NODES`] bounds it.

use std::collections::HashMap;

/// A parsed pickle.
#[derive(Debug)]
pub(super) struct Pickle {
    nodes: Vec<Node>,
    root: Id,
}

/// Index of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Id(u32);

/// One value.
#[derive(Debug)]
pub(super) enum Node {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// An integer of 64 bits.
    Int(i64),
    /// A number that nobody here needs: a float or an integer of more than 64 bits.
    Number,
    /// A string; invalid UTF-8 is replaced.
    Text(Box<str>),
    /// Bytes, which nobody here needs.
    Bytes,
    /// A tuple.
    Tuple(Vec<Id>),
    /// A list.
    List(Vec<Id>),
    /// A dictionary, in order.
    Dict(Vec<(Id, Id)>),
    /// A set, whose content nobody here needs.
    Set,
    /// A class or function: `module.name`.
    Global(Box<str>),
    /// A value that lies outside the pickle, by its identification.
    Persistent(Id),
    /// What a call would return.
    Call(Box<Call>),
}

/// A call that was not made.
#[derive(Debug)]
pub(super) struct Call {
    /// Mostly a [`Node::Global`].
    pub(super) callable: Id,
    /// Mostly a [`Node::Tuple`].
    pub(super) arguments: Id,
    /// Key-value pairs added to the result afterwards (`OrderedDict`).
    pub(super) entries: Vec<(Id, Id)>,
    /// Whether attributes were set on the result.
    pub(super) has_state: bool,
}

/// Why bytes are not a pickle that can be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PickleError {
    /// The bytes end before the pickle does.
    #[error("the pickle is cut off at byte {at}")]
    Truncated {
        /// Offset in the pickle.
        at: usize,
    },
    /// An opcode that `PyTorch` does not write.
    #[error("byte {at} of the pickle is opcode {opcode:#04x}, which PyTorch does not write")]
    Opcode {
        /// Offset in the pickle.
        at: usize,
        /// The byte.
        opcode: u8,
    },
    /// The stack, a mark, the memo or a value is not what the opcode needs.
    #[error("byte {at} of the pickle: {expected}")]
    Invalid {
        /// Offset in the pickle.
        at: usize,
        /// What the opcode needs.
        expected: &'static str,
    },
    /// More values than any checkpoint has.
    #[error("the pickle makes more than {MAX_NODES} values")]
    TooLarge,
}

impl Pickle {
    /// Reads one pickle from the start of `bytes`; also returns how long it is.
    pub(super) fn read(bytes: &[u8]) -> Result<(Self, usize), PickleError> {
        let mut machine = Machine { bytes, ..Machine::default() };
        let root = machine.run()?;
        Ok((Self { nodes: machine.nodes, root }, machine.at))
    }

    /// The value that the pickle makes.
    pub(super) fn root(&self) -> Id {
        self.root
    }

    /// A value.
    pub(super) fn node(&self, id: Id) -> &Node {
        &self.nodes[id.0 as usize]
    }

    /// The text that `id` is.
    pub(super) fn text(&self, id: Id) -> Option<&str> {
        match self.node(id) {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The size, offset or key that `id` is.
    pub(super) fn size(&self, id: Id) -> Option<usize> {
        match self.node(id) {
            Node::Int(value) => usize::try_from(*value).ok(),
            _ => None,
        }
    }

    /// The items of the tuple or list that `id` is.
    pub(super) fn items(&self, id: Id) -> Option<&[Id]> {
        match self.node(id) {
            Node::Tuple(items) | Node::List(items) => Some(items),
            _ => None,
        }
    }

    /// `module.name` of the class or function that `id` is.
    pub(super) fn global(&self, id: Id) -> Option<&str> {
        match self.node(id) {
            Node::Global(name) => Some(name),
            _ => None,
        }
    }

    /// The call that `id` is, with the name of its callable.
    pub(super) fn call(&self, id: Id) -> Option<(&str, &Call)> {
        match self.node(id) {
            Node::Call(call) => Some((self.global(call.callable)?, call)),
            _ => None,
        }
    }

    /// Identifications of all values that lie outside the pickle.
    pub(super) fn persistent(&self) -> impl Iterator<Item = Id> {
        let is_persistent = |(_, node): &(u32, &Node)| matches!(node, Node::Persistent(_));
        (0..).zip(&self.nodes).filter(is_persistent).map(|(index, _)| Id(index))
    }

    /// The entries of the dictionary or `OrderedDict` that `id` is.
    pub(super) fn entries(&self, id: Id) -> Option<Vec<(Id, Id)>> {
        if let Node::Dict(entries) = self.node(id) {
            return Some(entries.clone());
        }
        let ("collections.OrderedDict", call) = self.call(id)? else { return None };
        // Python 2 gave the entries as the only argument, a list of pairs.
        let mut entries = Vec::new();
        for pair in
            self.items(call.arguments)?.iter().filter_map(|&list| self.items(list)).flatten()
        {
            let &[key, value] = self.items(*pair)? else { return None };
            entries.push((key, value));
        }
        entries.extend_from_slice(&call.entries);
        Some(entries)
    }

    /// What `id` is, in Python's words: a type, or the global that would have been called.
    pub(super) fn describe(&self, id: Id) -> String {
        match self.node(id) {
            Node::None => "None".into(),
            Node::Bool(_) => "a bool".into(),
            Node::Int(_) | Node::Number => "a number".into(),
            Node::Text(_) => "a str".into(),
            Node::Bytes => "bytes".into(),
            Node::Tuple(_) => "a tuple".into(),
            Node::List(_) => "a list".into(),
            Node::Dict(_) => "a dict".into(),
            Node::Set => "a set".into(),
            Node::Global(name) => format!("the global {name}"),
            Node::Persistent(_) => "a storage".into(),
            Node::Call(call) => match self.global(call.callable) {
                Some(name) => format!("a call of {name}"),
                None => "a call of something computed".into(),
            },
        }
    }

    /// Names of all globals that are called, sorted.
    pub(super) fn called_globals(&self) -> Vec<String> {
        let called = self.nodes.iter().filter_map(|node| match node {
            Node::Call(call) => self.global(call.callable).map(str::to_owned),
            _ => None,
        });
        let mut called: Vec<String> = called.collect();
        called.sort();
        called.dedup();
        called
    }
}

/// The stack machine.
#[derive(Default)]
struct Machine<'a> {
    bytes: &'a [u8],
    /// Offset of the next byte.
    at: usize,
    nodes: Vec<Node>,
    stack: Vec<Id>,
    /// Heights of the stack at its marks.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl Machine<'_> {
    fn run(&mut self) -> Result<Id, PickleError> {
        loop {
            let at = self.at;
            let opcode = self.byte()?;
            match opcode {
                b'.' => return self.pop(),
                b'(' => self.marks.push(self.stack.len()),
                b'0' => self.discard()?,
                // A set's items are not kept, nor is what a mark discards.
                b'1' | 0x90 => drop(self.pop_to_mark()?),
                b'2' => self.stack.push(self.top()?),
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
                    self.push(Node::Global(format!("{module}.{name}").into()))?;
                }
                0x93 => {
                    let (name, module) = (self.pop()?, self.pop()?);
                    let global =
                        match (&self.nodes[module.0 as usize], &self.nodes[name.0 as usize]) {
                            (Node::Text(module), Node::Text(name)) => format!("{module}.{name}"),
                            _ => return Err(self.invalid("a global needs two strings")),
                        };
                    self.push(Node::Global(global.into()))?;
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
                    self.memo.insert(index, self.top()?);
                }
                b'r' => {
                    let index = u32::from_le_bytes(self.array()?);
                    self.memo.insert(index, self.top()?);
                }
                0x94 => {
                    let index =
                        u32::try_from(self.memo.len()).map_err(|_| PickleError::TooLarge)?;
                    self.memo.insert(index, self.top()?);
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

    fn take(&mut self, len: usize) -> Result<&[u8], PickleError> {
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
    fn line(&mut self) -> Result<String, PickleError> {
        let rest = &self.bytes[self.at..];
        let len = rest.iter().position(|&byte| byte == b'\n');
        let len = len.ok_or(PickleError::Truncated { at: self.at })?;
        let line = String::from_utf8_lossy(&rest[..len]).into_owned();
        self.at += len + 1;
        Ok(line)
    }

    fn push(&mut self, node: Node) -> Result<(), PickleError> {
        if self.nodes.len() >= MAX_NODES {
            return Err(PickleError::TooLarge);
        }
        let id = u32::try_from(self.nodes.len()).map_err(|_| PickleError::TooLarge)?;
        self.nodes.push(node);
        self.stack.push(Id(id));
        Ok(())
    }

    fn push_text(&mut self, len: usize) -> Result<(), PickleError> {
        let text = String::from_utf8_lossy(self.take(len)?).into();
        self.push(Node::Text(text))
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

    fn recall(&mut self, index: u32) -> Result<(), PickleError> {
        let id = self.memo.get(&index).copied();
        self.stack.push(id.ok_or_else(|| self.invalid("the memo does not hold that value"))?);
        Ok(())
    }
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
const MAX_NODES: usize = 1 << 22;

#[cfg(test)]
mod tests {
    #![allow(clippy::panic, reason = "a test fails by panicking")]

    use super::*;

    /// Values that Python's pickle module makes at protocols 2 and 4, and what they are.
    #[test]
    fn integers_and_circles_are_read() {
        // pickle.dumps([-1, 255, 2**40, -2**63, 2**64], 2)
        let bytes = b"\x80\x02]q\x00(J\xff\xff\xff\xffK\xff\x8a\x06\x00\x00\x00\x00\x00\x01\
            \x8a\x08\x00\x00\x00\x00\x00\x00\x00\x80\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x01e.";
        let (pickle, len) = Pickle::read(bytes).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(len, bytes.len());
        let items = pickle.items(pickle.root()).expect("a list");
        let expected = [Some(-1), Some(255), Some(1 << 40), Some(i64::MIN), None];
        for (&item, expected) in items.iter().zip(expected) {
            match (pickle.node(item), expected) {
                (Node::Int(found), Some(expected)) => assert_eq!(*found, expected),
                (Node::Number, None) => {}
                (found, expected) => panic!("{found:?} instead of {expected:?}"),
            }
        }
        // a = []; a.append(a); pickle.dumps(a, 4)
        let circle = b"\x80\x04\x95\x06\x00\x00\x00\x00\x00\x00\x00]\x94h\x00a.";
        let (pickle, _) = Pickle::read(circle).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(pickle.items(pickle.root()), Some(&[pickle.root()][..]));
    }

    /// Each makes the machine reach for what is not there.
    #[test]
    fn malformed_programs_are_refused() {
        for bytes in [
            &b""[..],
            b"\x80\x02",
            b"\x80\x02.",
            b"(.",
            b"(\x85.",
            b"K\x01e.",
            b"h\x05.",
            b"}K\x01s.",
            b"}(K\x01u.",
            b"K\x01K\x02K\x03s.",
            b"X\xff\xff\xff\xffabc.",
            b"\x8d\xff\xff\xff\xff\xff\xff\xff\xffabc.",
            b"\x8b\xff\xff\xff\xff\x00.",
            b"cos\nsystem",
            b"K\x01K\x02\x93.",
            b"\x82\x01.",
            b"\x97.",
            b"I1\n.",
        ] {
            assert!(Pickle::read(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn values_are_bounded() {
        let mut bytes = vec![b'N'; MAX_NODES + 1];
        bytes.push(b'.');
        assert_eq!(Pickle::read(&bytes).err(), Some(PickleError::TooLarge));
    }
}
