//! Doors for the fuzz targets: `format.json` as text.

use super::{
    Layout, Refusal,
    file::{self, Format, Parsed},
};

/// The document of drive `this` of a new deployment on three nodes.
#[must_use]
pub fn format_document(drives: usize, set_size: usize, this: usize, complete: bool) -> String {
    let nodes: Vec<u16> = (0..).take(drives).map(|drive| drive % 3).collect();
    format_document_on(&nodes, set_size, 0, this, complete)
}

/// The document of drive `this` of deployment number `number`, whose drives are of these nodes.
#[must_use]
pub fn format_document_on(nodes: &[u16], set_size: usize, number: u128, this: usize, complete: bool) -> String {
    let mut next = number << 16;
    let mut fresh = || {
        next += 1;
        next
    };
    let layout = Layout::new(nodes, set_size, &mut fresh).expect("whole sets");
    let this = layout.drives().nth(this % nodes.len().max(1)).unwrap_or_default();
    let begun = Format::begun(layout, this);
    Format { complete, ..begun }.to_json()
}

/// Returns what a document says, as the document that this program would write; `None` if it is damaged.
///
/// # Errors
/// The format of somebody else, or of another version.
pub fn format_meaning(bytes: &[u8]) -> Result<Option<String>, Refusal> {
    Ok(match file::parse(bytes)? {
        Parsed::Ours(format) => Some(format.to_json()),
        Parsed::Corrupt(_) => None,
    })
}

/// Gives a document in which the checksum is 32 zeroes the right one.
#[must_use]
pub fn seal_format(unsealed: String) -> String {
    file::seal(unsealed)
}
