//! A growing column that never moves what it holds.
//!
//! A vector that doubles copies everything and needs the old and the new memory at once, unless the allocator can remap
//! pages. Chunks of fixed length make peak memory the same as what is in use, on every system.

/// Rows of a chunk.
const ROWS: usize = 1 << ROW_BITS;
const ROW_BITS: u32 = 12;

/// Rows of `width` items each.
#[derive(Debug, Clone)]
pub(super) struct Chunks<T> {
    width: usize,
    len: usize,
    chunks: Vec<Vec<T>>,
}

impl<T: Copy> Chunks<T> {
    pub(super) fn new(width: usize) -> Chunks<T> {
        Chunks { width, len: 0, chunks: Vec::new() }
    }

    /// Number of rows.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Appends a row whose items are all the same.
    pub(super) fn push(&mut self, item: T) {
        if self.len & (ROWS - 1) == 0 {
            // The first chunk grows with the table: many tables stay small.
            let rows = if self.len == 0 { 0 } else { ROWS };
            self.chunks.push(Vec::with_capacity(rows * self.width));
        }
        if let Some(chunk) = self.chunks.last_mut() {
            chunk.extend(std::iter::repeat_n(item, self.width));
        }
        self.len += 1;
    }

    /// The item of a row in a column of width 1.
    #[inline]
    pub(super) fn get(&self, number: usize) -> Option<&T> {
        self.chunks.get(number >> ROW_BITS)?.get(number & (ROWS - 1))
    }

    /// As [`get`](Self::get).
    #[inline]
    pub(super) fn get_mut(&mut self, number: usize) -> Option<&mut T> {
        self.chunks.get_mut(number >> ROW_BITS)?.get_mut(number & (ROWS - 1))
    }

    /// A row; empty if there is none with this number.
    #[inline]
    pub(super) fn row(&self, number: usize) -> &[T] {
        let start = (number & (ROWS - 1)) * self.width;
        self.chunks.get(number >> ROW_BITS).and_then(|chunk| chunk.get(start..start + self.width)).unwrap_or(&[])
    }

    /// As [`row`](Self::row).
    #[inline]
    pub(super) fn row_mut(&mut self, number: usize) -> &mut [T] {
        let start = (number & (ROWS - 1)) * self.width;
        self.chunks
            .get_mut(number >> ROW_BITS)
            .and_then(|chunk| chunk.get_mut(start..start + self.width))
            .unwrap_or(&mut [])
    }

    /// Bytes of memory in use.
    pub(super) fn memory_bytes(&self) -> usize {
        self.len * self.width * size_of::<T>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stay_where_they_are() {
        let mut chunks = Chunks::new(3);
        assert_eq!(chunks.row(0), [0; 0]);
        for number in 0..3 * ROWS {
            chunks.push(number);
        }
        chunks.row_mut(ROWS)[1] = 7;
        assert_eq!(chunks.len(), 3 * ROWS);
        for number in [0, 1, ROWS - 1, ROWS + 1, 3 * ROWS - 1] {
            assert_eq!(chunks.row(number), [number; 3]);
        }
        assert_eq!(chunks.row(ROWS), [ROWS, 7, ROWS]);
        assert_eq!(chunks.row(3 * ROWS), [0; 0]);
        assert!(chunks.row_mut(3 * ROWS).is_empty());
    }
}
