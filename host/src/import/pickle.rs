//! A pickle as data: what it says, without doing what it says.
//!
//! A pickle is a program for a stack machine that names functions and calls them. This machine runs
//! the same opcodes and calls nothing: a global is its name, and a call is a [`Node::Call`] with its
//! callable and arguments, whatever they are. Who reads the result decides which of a few known
//! calls it understands.
//!
//! Values lie in one list and refer to each other by index, so that shared and circular values cost
//! nothing, and nothing recurses. Every opcode makes at most one value, so memory grows with the
//! pickle's own size, and the machine bounds it.

mod machine;

use std::collections::BTreeSet;

use machine::Machine;

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
    /// A string of at most 1 KiB; invalid UTF-8 is replaced.
    Text(Box<str>),
    /// Bytes or a longer string, which nobody here needs.
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
    /// More of something than any checkpoint has.
    #[error("the pickle has more {what} than any checkpoint")]
    TooLarge {
        /// Of what: values, marks, names.
        what: &'static str,
    },
}

impl Pickle {
    /// Reads one pickle from the start of `bytes`; also returns how long it is.
    pub(super) fn read(bytes: &[u8]) -> Result<(Self, usize), PickleError> {
        let mut machine = Machine::new(bytes);
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
        let list = match *self.items(call.arguments)? {
            [] => &[][..],
            [list] => self.items(list)?,
            _ => return None,
        };
        let mut entries = Vec::new();
        for pair in list {
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
            Node::Bytes => "bytes or a long str".into(),
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

    /// Names of all globals that are called.
    pub(super) fn called_globals(&self) -> BTreeSet<&str> {
        let called = self.nodes.iter().filter_map(|node| match node {
            Node::Call(call) => self.global(call.callable),
            _ => None,
        });
        called.collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic, reason = "a test fails by panicking")]

    use super::{
        machine::{MAX_GLOBAL_BYTES, MAX_NODES, MAX_TEXT_BYTES},
        *,
    };

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

    /// What one opcode adds is bounded, also where it makes no value.
    #[test]
    fn programs_are_bounded() {
        let refused = |start: &[u8], repeated: &[u8], count: usize| {
            let program = [start, &repeated.repeat(count), b"."].concat();
            match Pickle::read(&program).err() {
                Some(PickleError::TooLarge { what }) => what,
                other => panic!("{repeated:?}: {other:?}"),
            }
        };
        assert_eq!(refused(b"", b"N", MAX_NODES + 1), "values");
        assert_eq!(refused(b"N", b"2", MAX_NODES), "values on its stack");
        assert_eq!(refused(b"Nq\x01", b"h\x01", MAX_NODES), "values on its stack");
        assert_eq!(refused(b"", b"(", MAX_NODES + 1), "marks");
        assert_eq!(refused(b"N", b"\x94", MAX_NODES + 1), "values in its memo");
        // Two texts of 512 bytes, recalled into 1 KiB by five bytes, and dropped.
        let text = [b"X\x00\x02\x00\x00", &b"a".repeat(512)[..]].concat();
        let texts = [&text[..], b"q\x01", &text, b"q\x02"].concat();
        let count = MAX_GLOBAL_BYTES / MAX_TEXT_BYTES + 1;
        assert_eq!(refused(&texts, b"h\x01h\x02\x930", count), "names of globals");
    }

    /// Texts that no tensor is called by are not kept, and name no global.
    #[test]
    fn long_texts_are_not_kept() {
        let text = |len: usize| {
            let len_bytes = u32::try_from(len).expect("a short text").to_le_bytes();
            [b"X", &len_bytes[..], &b"a".repeat(len)].concat()
        };
        let read = |program: &[u8]| Pickle::read(program).map(|(pickle, _)| pickle);
        let kept = read(&[&text(MAX_TEXT_BYTES)[..], b"."].concat()).expect("a text");
        assert_eq!(kept.text(kept.root()).map(str::len), Some(MAX_TEXT_BYTES));
        let long = read(&[&text(MAX_TEXT_BYTES + 1)[..], b"."].concat()).expect("a text");
        assert_eq!(long.text(long.root()), None);

        let of_texts = |len: usize| read(&[&text(len)[..], &text(100), b"\x93."].concat());
        let of_lines = |len: usize| {
            read(&[b"c", &b"a".repeat(len)[..], b"\n", &b"b".repeat(100), b"\n."].concat())
        };
        for global in [of_texts(MAX_TEXT_BYTES - 100), of_lines(MAX_TEXT_BYTES - 100)] {
            let global = global.expect("a name of the longest length");
            assert_eq!(global.global(global.root()).map(str::len), Some(MAX_TEXT_BYTES + 1));
        }
        for len in [MAX_TEXT_BYTES - 99, MAX_TEXT_BYTES + 1] {
            assert!(matches!(of_texts(len), Err(PickleError::Invalid { .. })), "{len}");
            assert!(matches!(of_lines(len), Err(PickleError::Invalid { .. })), "{len}");
        }
    }

    /// `OrderedDict` of one list of pairs, as Python 2 wrote it; more lists would be a way to name
    /// the same pairs any number of times.
    #[test]
    fn ordered_dictionaries_take_one_list() {
        let program =
            |arguments: &[u8]| [b"\x80\x02ccollections\nOrderedDict\n", arguments, b"R."].concat();
        for (arguments, expected) in [
            (&b")"[..], Some(0)),
            (b"](K\x01K\x02\x86K\x03K\x04\x86e\x85", Some(2)),
            (b"](K\x01K\x02\x86K\x03K\x04\x86eq\x01h\x01\x86", None),
            (b"](K\x01K\x02\x86K\x03e\x85", None),
            (b"K\x01\x85", None),
        ] {
            let (pickle, _) = Pickle::read(&program(arguments)).expect("a whole program");
            let entries = pickle.entries(pickle.root());
            assert_eq!(entries.map(|entries| entries.len()), expected, "{arguments:?}");
        }
    }
}
