//! A tensor as a view of a storage: sizes and strides to numbers in row order.

use half::{bf16, f16};

use super::pickle::{Element, StoredTensor};

/// A view that lies within its storage.
pub struct View {
    element: Element,
    offset: usize,
    shape: Vec<usize>,
    strides: Vec<usize>,
    count: usize,
}

impl View {
    /// Checks that `tensor` lies within its storage and has no more numbers than that.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(tensor: &StoredTensor) -> Result<Self, String> {
        let too_large =
            || format!("has shape {:?} at number {}, beyond its storage of {}", tensor.shape, tensor.offset, tensor.storage.count);
        if tensor.shape.contains(&0) {
            return Err(format!("has shape {:?}, which holds no number", tensor.shape));
        }
        let count = tensor.shape.iter().try_fold(1_u64, |product, size| product.checked_mul(*size)).ok_or_else(too_large)?;
        let mut steps = tensor.shape.iter().zip(&tensor.strides);
        let last = steps.try_fold(tensor.offset, |sum, (size, stride)| sum.checked_add((size - 1).checked_mul(*stride)?));
        if count > tensor.storage.count || last.is_none_or(|last| last >= tensor.storage.count) {
            return Err(too_large());
        }
        let sizes = |values: &[u64]| values.iter().map(|value| usize::try_from(*value).map_err(|_| too_large())).collect::<Result<_, _>>();
        Ok(Self {
            element: tensor.storage.element,
            offset: usize::try_from(tensor.offset).map_err(|_| too_large())?,
            shape: sizes(&tensor.shape)?,
            strides: sizes(&tensor.strides)?,
            count: usize::try_from(count).map_err(|_| too_large())?,
        })
    }

    /// The sizes.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The numbers in row order. `bytes` are the storage's, as many as it announces.
    pub fn values(&self, bytes: &[u8], big_endian: bool) -> Vec<f32> {
        match self.element {
            Element::F64 => self.gather(bytes, |b| if big_endian { f64::from_be_bytes(b) } else { f64::from_le_bytes(b) } as f32),
            Element::F32 => self.gather(bytes, |b| if big_endian { f32::from_be_bytes(b) } else { f32::from_le_bytes(b) }),
            Element::F16 => self.gather(bytes, |b| if big_endian { f16::from_be_bytes(b) } else { f16::from_le_bytes(b) }.to_f32()),
            Element::BF16 => self.gather(bytes, |b| if big_endian { bf16::from_be_bytes(b) } else { bf16::from_le_bytes(b) }.to_f32()),
            Element::Other(_) => Vec::new(),
        }
    }

    fn gather<const WIDTH: usize>(&self, bytes: &[u8], decode: impl Fn([u8; WIDTH]) -> f32) -> Vec<f32> {
        let (numbers, _) = bytes.as_chunks::<WIDTH>();
        if self.is_contiguous() {
            return numbers[self.offset..][..self.count].iter().map(|number| decode(*number)).collect();
        }
        let mut values = Vec::with_capacity(self.count);
        let (mut index, mut place) = (vec![0; self.shape.len()], self.offset);
        while values.len() < self.count {
            values.push(decode(numbers[place]));
            // Counts up like an odometer: the last axis first, and the next one when it is full.
            for axis in (0..index.len()).rev() {
                index[axis] += 1;
                place += self.strides[axis];
                if index[axis] < self.shape[axis] {
                    break;
                }
                place -= index[axis] * self.strides[axis];
                index[axis] = 0;
            }
        }
        values
    }

    fn is_contiguous(&self) -> bool {
        let mut expected = 1;
        self.shape.iter().zip(&self.strides).rev().all(|(size, stride)| {
            let fits = *size == 1 || *stride == expected;
            expected *= size;
            fits
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::pickle::Storage;

    fn tensor(count: u64, offset: u64, shape: &[u64], strides: &[u64]) -> StoredTensor<'static> {
        let storage = Storage { element: Element::F32, key: "0", count };
        StoredTensor { storage, offset, shape: shape.to_vec(), strides: strides.to_vec() }
    }

    fn read(count: u16, offset: u64, shape: &[u64], strides: &[u64]) -> Vec<f32> {
        let bytes: Vec<u8> = (0..count).flat_map(|number| f32::from(number).to_le_bytes()).collect();
        View::new(&tensor(count.into(), offset, shape, strides)).unwrap().values(&bytes, false)
    }

    #[test]
    fn views_are_read_in_row_order() {
        assert_eq!(read(6, 0, &[2, 3], &[3, 1]), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(read(6, 0, &[3, 2], &[1, 3]), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0], "transposed");
        assert_eq!(read(6, 1, &[2, 2], &[3, 1]), [1.0, 2.0, 4.0, 5.0], "columns of a slice");
        assert_eq!(read(6, 4, &[1, 2], &[99, 1]), [4.0, 5.0], "the stride of a single row means nothing");
        assert_eq!(read(6, 5, &[], &[]), [5.0]);
        assert_eq!(read(3, 0, &[3], &[0]), [0.0, 0.0, 0.0], "expanded");
    }

    #[test]
    fn views_beyond_their_storage_are_refused() {
        for (offset, shape, strides) in [
            (0, vec![7], vec![1]),
            (1, vec![2, 3], vec![3, 1]),
            (0, vec![2, 3], vec![4, 1]),
            (6, vec![], vec![]),
            (u64::MAX, vec![2], vec![1]),
            (0, vec![2], vec![u64::MAX]),
            (0, vec![u64::MAX, u64::MAX], vec![1, 1]),
            (0, vec![1000], vec![0]),
            (0, vec![u64::MAX, 0, u64::MAX], vec![1, 1, 1]),
        ] {
            assert!(View::new(&tensor(6, offset, &shape, &strides)).is_err(), "{offset} {shape:?} {strides:?}");
        }
    }

    #[test]
    fn numbers_of_each_kind_are_decoded() {
        let cases: [(Element, &[u8], &[u8]); 4] = [
            (Element::F64, &[0, 0, 0, 0, 0, 0, 0xf8, 0xbf], &[0xbf, 0xf8, 0, 0, 0, 0, 0, 0]),
            (Element::F32, &[0, 0, 0xc0, 0xbf], &[0xbf, 0xc0, 0, 0]),
            (Element::F16, &[0, 0xbe], &[0xbe, 0]),
            (Element::BF16, &[0xc0, 0xbf], &[0xbf, 0xc0]),
        ];
        for (element, little, big) in cases {
            let mut stored = tensor(1, 0, &[1], &[1]);
            stored.storage.element = element;
            let view = View::new(&stored).unwrap();
            assert_eq!((view.values(little, false), view.values(big, true)), (vec![-1.5], vec![-1.5]), "{element:?}");
        }
    }
}
