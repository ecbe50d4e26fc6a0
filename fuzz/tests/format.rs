//! Parser of `format.json`: a damaged document is an error, or has the same meaning.

use bolero::{TypeGenerator, check};
use store::drive::fuzzing::{format_document, format_meaning, seal_format};

/// Damage to a document.
#[derive(Clone, Debug, TypeGenerator)]
enum Damage {
    Flip {
        at: u16,
        bits: u8,
    },
    Cut {
        len: u16,
    },
    Insert {
        at: u16,
        text: u8,
    },
    Remove {
        at: u16,
        len: u8,
    },
    /// Duplicates a range: lines, fields, drives.
    Twice {
        at: u16,
        len: u16,
    },
}

const PIECES: [&str; 10] = [
    "\n",
    " ",
    "0",
    "\"complete\": true,",
    "[]",
    "\"\\u0030\"",
    "00000000000000000000000000000000",
    "\u{fffd}",
    "{\"x\":[[",
    "}}",
];

impl Damage {
    fn befall(&self, document: &mut Vec<u8>) {
        let len = document.len().max(1);
        match self {
            Damage::Flip { at, bits } => {
                if let Some(byte) = document.get_mut(usize::from(*at) % len) {
                    *byte ^= bits;
                }
            }
            Damage::Cut { len: to } => document.truncate(usize::from(*to) % len),
            Damage::Insert { at, text } => {
                let at = usize::from(*at) % len;
                let text = PIECES[usize::from(*text) % PIECES.len()];
                document.splice(at.min(document.len())..at.min(document.len()), text.bytes());
            }
            Damage::Remove { at, len: cut } => {
                let at = (usize::from(*at) % len).min(document.len());
                let end = (at + usize::from(*cut)).min(document.len());
                document.drain(at..end);
            }
            Damage::Twice { at, len: cut } => {
                let at = (usize::from(*at) % len).min(document.len());
                let end = (at + usize::from(*cut % 400)).min(document.len());
                let piece = document[at..end].to_vec();
                document.splice(at..at, piece);
            }
        }
    }
}

fn original((sets, set_size, this, complete): (u8, u8, u8, bool)) -> String {
    let set_size = usize::from(set_size % 16) + 1;
    let drives = set_size * (usize::from(sets % 4) + 1);
    format_document(drives, set_size, usize::from(this), complete)
}

/// `format.unreadable-is-offline`: damage is detected, or does not change the meaning.
#[test]
fn damaged_documents_are_refused_or_say_the_same() {
    type Input = ((u8, u8, u8, bool), Vec<Damage>);
    check!().with_type::<Input>().for_each(|(shape, damages)| {
        let original = original(*shape);
        assert_eq!(
            format_meaning(original.as_bytes()).expect("ours"),
            Some(original.clone())
        );
        let mut document = original.clone().into_bytes();
        damages.iter().take(4).for_each(|damage| damage.befall(&mut document));
        if let Ok(Some(meaning)) = format_meaning(&document) {
            assert_eq!(meaning, original, "{}", String::from_utf8_lossy(&document));
        }
    });
}

/// A document with a valid checksum is refused unless its shape is legal: the parsed document, written
/// again, parses to the same.
#[test]
fn sealed_documents_are_refused_or_legal() {
    type Input = ((u8, u8, u8, bool), Vec<Damage>);
    check!().with_type::<Input>().for_each(|(shape, damages)| {
        let original = original(*shape);
        let checksum = original.rfind("\"checksum\"").expect("a checksum") + "\"checksum\": \"".len();
        let mut head = original.as_bytes()[..checksum].to_vec();
        damages.iter().take(4).for_each(|damage| damage.befall(&mut head));
        let tail = "00000000000000000000000000000000\"\n}\n";
        let document = seal_format(String::from_utf8_lossy(&head).into_owned() + tail);
        if let Ok(Some(meaning)) = format_meaning(document.as_bytes()) {
            assert_eq!(format_meaning(meaning.as_bytes()).expect("ours"), Some(meaning));
        }
    });
}

#[test]
fn any_bytes_are_a_document_or_an_error() {
    check!().for_each(|bytes| {
        assert!(!matches!(format_meaning(bytes), Ok(Some(_))), "{bytes:?}");
    });
}
