//! Matrices over GF(2^8) with the polynomial 0x11D: what the code needs to build itself and to invert.
//!
//! They have at most 16 rows and columns and are built once per codec or per pattern of losses, so clarity
//! comes before speed here. The loop over the bytes of the blocks is in `codec`.

use reed_solomon_erasure::galois_8::{div, exp, mul};

/// The product of two elements of the field: shifted and added, for tables that are computed by the compiler.
#[cfg(target_arch = "x86_64")]
pub(super) const fn product(a: u8, b: u8) -> u8 {
    let (mut shifted, mut sum, mut bit) = (a, 0, 0);
    while bit < 8 {
        if b >> bit & 1 == 1 {
            sum ^= shifted;
        }
        shifted = shifted << 1 ^ if shifted & 0x80 == 0 { 0 } else { 0x1D };
        bit += 1;
    }
    sum
}

/// A matrix over GF(2^8), in row order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Matrix {
    columns: usize,
    cells: Vec<u8>,
}

impl Matrix {
    /// Cell (r, c) is r^c, with 0^0 = 1. As the r are distinct, any `columns` rows are independent.
    pub fn vandermonde(rows: usize, columns: usize) -> Matrix {
        let cells = (0..rows * columns)
            .map(|at| exp((at / columns) as u8, at % columns))
            .collect();
        Matrix { columns, cells }
    }

    /// A matrix of the rows given, each of `columns` cells.
    pub fn from_rows<'a>(columns: usize, rows: impl Iterator<Item = &'a [u8]>) -> Matrix {
        let cells: Vec<u8> = rows.flatten().copied().collect();
        debug_assert_eq!(cells.len() % columns, 0);
        Matrix { columns, cells }
    }

    pub fn row(&self, row: usize) -> &[u8] {
        &self.cells[row * self.columns..][..self.columns]
    }

    /// The product `vector × self`.
    pub fn left_multiply<'a>(&'a self, vector: &'a [u8]) -> impl Iterator<Item = u8> + 'a {
        debug_assert_eq!(vector.len() * self.columns, self.cells.len());
        (0..self.columns).map(move |column| {
            vector
                .iter()
                .enumerate()
                .fold(0, |sum, (row, &factor)| sum ^ mul(factor, self.row(row)[column]))
        })
    }

    /// The inverse of a square matrix by Gauss–Jordan, or `None` if it is singular.
    pub fn inverse(mut self) -> Option<Matrix> {
        let size = self.columns;
        assert_eq!(self.cells.len(), size * size, "only a square matrix has an inverse");
        let mut inverse = Matrix {
            columns: size,
            cells: vec![0; size * size],
        };
        for at in 0..size {
            inverse.cells[at * size + at] = 1;
        }
        for at in 0..size {
            let pivot = (at..size).find(|&row| self.row(row)[at] != 0)?;
            self.swap_rows(at, pivot);
            inverse.swap_rows(at, pivot);
            let factor = div(1, self.row(at)[at]);
            self.scale_row(at, factor);
            inverse.scale_row(at, factor);
            for row in (0..size).filter(|&row| row != at) {
                let factor = self.row(row)[at];
                self.add_row(row, factor, at);
                inverse.add_row(row, factor, at);
            }
        }
        Some(inverse)
    }

    fn swap_rows(&mut self, one: usize, other: usize) {
        for column in 0..self.columns {
            self.cells
                .swap(one * self.columns + column, other * self.columns + column);
        }
    }

    fn scale_row(&mut self, row: usize, factor: u8) {
        for cell in &mut self.cells[row * self.columns..][..self.columns] {
            *cell = mul(*cell, factor);
        }
    }

    /// Adds `factor` times the row `source` to the row `target`.
    fn add_row(&mut self, target: usize, factor: u8, source: usize) {
        for column in 0..self.columns {
            self.cells[target * self.columns + column] ^= mul(factor, self.cells[source * self.columns + column]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inverse_times_matrix_is_identity() {
        for size in 1..=16 {
            // Not the top rows alone: odd rows too, so that pivots have to be swapped.
            let all = Matrix::vandermonde(16, size);
            let picked = Matrix::from_rows(size, (16 - size..16).rev().map(|row| all.row(row)));
            let inverse = picked
                .clone()
                .inverse()
                .expect("rows of distinct points are independent");
            for row in 0..size {
                let product: Vec<u8> = picked.left_multiply(inverse.row(row)).collect();
                let identity: Vec<u8> = (0..size).map(|column| u8::from(row == column)).collect();
                assert_eq!(product, identity, "size {size}, row {row}");
            }
        }
    }

    #[test]
    fn pivot_is_searched_below() {
        let swap = Matrix {
            columns: 2,
            cells: vec![0, 1, 1, 0],
        };
        assert_eq!(swap.clone().inverse(), Some(swap));
    }

    #[test]
    fn singular_matrix_has_no_inverse() {
        assert_eq!(
            Matrix {
                columns: 2,
                cells: vec![3, 5, 3, 5]
            }
            .inverse(),
            None
        );
    }
}
