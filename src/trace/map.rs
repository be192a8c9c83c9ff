//! Maps: values by key, and the functions that gather values into them.

use std::collections::HashMap;

use super::series::Values;
use super::value::Value;
use crate::lang::script::ast::WhenFull;
use crate::lang::script::program::Room;
use crate::lang::script::types::{Aggregate, Sign};

/// A map.
#[derive(Debug, Default)]
pub struct Map {
    cells: HashMap<Value, Entry>,
    /// Changes so far.
    changes: u64,
}

/// A cell, and when it was changed last.
#[derive(Debug)]
struct Entry {
    cell: Cell,
    changed: u64,
}

/// What a key leads to.
#[derive(Clone, PartialEq, Debug)]
pub enum Cell {
    /// What was assigned.
    Value(Value),
    /// `count`, `sum`, `min`, `max`: a number.
    Number(u64),
    /// `avg`, `stats`: how many, and their sum.
    Mean(u64, u64),
    /// `hist`, `lhist`: how many in each interval.
    Buckets(Vec<u64>),
    /// `tseries`.
    Series(Values),
}

/// More of a map's keys are not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Full;

impl Map {
    /// The cell of a key.
    pub fn find(&self, key: &Value) -> Option<&Cell> {
        self.cells.get(key).map(|one| &one.cell)
    }

    /// Puts a value in, if there is room.
    pub fn set(&mut self, key: Value, value: Value, room: Room) -> Result<(), Full> {
        if let Some(cell) = self.known(&key) {
            *cell = Cell::Value(value);
            return Ok(());
        }
        self.insert(key, Cell::Value(value), room)
    }

    /// The cell of a key, to be changed.
    fn known(&mut self, key: &Value) -> Option<&mut Cell> {
        self.changes += 1;
        let entry = self.cells.get_mut(key)?;
        entry.changed = self.changes;
        Some(&mut entry.cell)
    }

    fn insert(&mut self, key: Value, cell: Cell, room: Room) -> Result<(), Full> {
        if self.cells.len() >= room.limit {
            if room.when_full == WhenFull::Refuse {
                return Err(Full);
            }
            let oldest = self.cells.iter().min_by_key(|(_, entry)| entry.changed).map(|(key, _)| key.clone());
            oldest.and_then(|key| self.cells.remove(&key));
        }
        self.cells.insert(key, Entry { cell, changed: self.changes });
        Ok(())
    }

    /// Gathers a value in; `now`, nanoseconds since 1970, counts for a time series alone.
    pub fn gather(&mut self, key: Value, aggregate: Aggregate, value: u64, now: u64, room: Room) -> Result<(), Full> {
        if let Some(cell) = self.known(&key) {
            cell.gather(aggregate, value, now);
            return Ok(());
        }
        let mut cell = Cell::empty(aggregate, value);
        cell.gather(aggregate, value, now);
        self.insert(key, cell, room)
    }

    /// Takes a key out; whether it was there.
    pub fn delete(&mut self, key: &Value) -> bool {
        self.cells.remove(key).is_some()
    }

    /// Takes all out.
    pub fn clear(&mut self) {
        self.cells.clear();
    }

    /// Makes every value 0.
    pub fn zero(&mut self) {
        for entry in self.cells.values_mut() {
            match &mut entry.cell {
                Cell::Value(value) => *value = Value::Number(0),
                Cell::Number(number) => *number = 0,
                Cell::Mean(count, total) => (*count, *total) = (0, 0),
                Cell::Buckets(buckets) => buckets.fill(0),
                Cell::Series(values) => values.zero(),
            }
        }
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// Every key and cell, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&Value, &Cell)> {
        self.cells.iter().map(|(key, entry)| (key, &entry.cell))
    }
}

impl Cell {
    fn empty(aggregate: Aggregate, first: u64) -> Cell {
        match aggregate {
            Aggregate::Count | Aggregate::Sum(_) => Cell::Number(0),
            Aggregate::Min(_) | Aggregate::Max(_) => Cell::Number(first),
            Aggregate::Average(_) | Aggregate::Stats(_) => Cell::Mean(0, 0),
            Aggregate::Histogram(bits) => Cell::Buckets(vec![0; (65 << bits) + 1]),
            Aggregate::Linear { min, max, step } => {
                Cell::Buckets(vec![0; (max.saturating_sub(min) / step.max(1)) as usize + 2])
            }
            Aggregate::Series(_) => Cell::Series(Values::default()),
        }
    }

    fn gather(&mut self, aggregate: Aggregate, value: u64, now: u64) {
        match (self, aggregate) {
            (Cell::Number(number), Aggregate::Min(sign)) if is_less(value, *number, sign) => *number = value,
            (Cell::Number(number), Aggregate::Max(sign)) if is_less(*number, value, sign) => *number = value,
            (Cell::Number(number), Aggregate::Count | Aggregate::Sum(_)) => *number = number.wrapping_add(value),
            (Cell::Mean(count, total), _) => {
                *count += 1;
                *total = total.wrapping_add(value);
            }
            (Cell::Buckets(buckets), Aggregate::Histogram(bits)) => add(buckets, power_bucket(value as i64, bits)),
            (Cell::Buckets(buckets), Aggregate::Linear { min, max, step }) => {
                add(buckets, linear_bucket(value as i64, min, max, step));
            }
            (Cell::Series(values), Aggregate::Series(series)) => values.add(&series, value, now),
            _ => {}
        }
    }

    /// How much memory it holds, bytes.
    pub(super) fn weight(&self) -> usize {
        let inner = match self {
            Cell::Value(value) => value.weight(),
            Cell::Buckets(buckets) => buckets.len() * 8,
            Cell::Series(values) => values.weight(),
            Cell::Number(_) | Cell::Mean(..) => 0,
        };
        inner + std::mem::size_of::<Cell>()
    }

    /// The number that an expression reads.
    pub fn number(&self, sign: Sign) -> u64 {
        match self {
            Cell::Value(value) => value.number(),
            Cell::Number(number) => *number,
            Cell::Mean(count, total) => mean(*count, *total, sign),
            Cell::Buckets(buckets) => buckets.iter().sum(),
            Cell::Series(values) => values.last().unwrap_or(0),
        }
    }

    /// What an expression reads.
    pub fn value(&self, sign: Sign) -> Value {
        match self {
            Cell::Value(value) => value.clone(),
            other => Value::Number(other.number(sign)),
        }
    }
}

/// The mean of so many values, rounded to 0.
pub fn mean(count: u64, total: u64, sign: Sign) -> u64 {
    match (count, sign) {
        (0, _) => 0,
        (count, Sign::Signed) => (total as i64 / count as i64) as u64,
        (count, Sign::Unsigned) => total / count,
    }
}

fn is_less(a: u64, b: u64, sign: Sign) -> bool {
    match sign {
        Sign::Signed => (a as i64) < (b as i64),
        Sign::Unsigned => a < b,
    }
}

fn add(buckets: &mut [u64], at: usize) {
    if let Some(bucket) = buckets.get_mut(at) {
        *bucket += 1;
    }
}

/// The interval of a value: 0 for negative ones, then one for each of the first `1 << bits` values, then `1 << bits`
/// for each power of two.
fn power_bucket(value: i64, bits: u8) -> usize {
    if value < 0 {
        return 0;
    }
    let parts = 1u64 << bits;
    let value = value as u64;
    if value < parts {
        return value as usize + 1;
    }
    let power = u64::from(value.ilog2()) - u64::from(bits);
    let part = (value >> power) - parts;
    ((power + 1) * parts + part + 1) as usize
}

/// The interval of a value: the first is below `min`, the last from `max` on.
fn linear_bucket(value: i64, min: i64, max: i64, step: i64) -> usize {
    if value < min {
        0
    } else if value >= max {
        ((max - min) / step) as usize + 1
    } else {
        ((value - min) / step) as usize + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(limit: usize, when_full: WhenFull) -> Room {
        Room { limit, when_full }
    }

    fn gathered(aggregate: Aggregate, values: &[i64]) -> Cell {
        let mut map = Map::default();
        for value in values {
            map.gather(Value::None, aggregate, *value as u64, 0, room(8, WhenFull::Refuse)).unwrap();
        }
        map.find(&Value::None).cloned().unwrap()
    }

    #[test]
    fn values_are_gathered_by_each_function() {
        assert_eq!(gathered(Aggregate::Count, &[1, 1, 1]), Cell::Number(3));
        assert_eq!(gathered(Aggregate::Min(Sign::Signed), &[3, -5, 2]), Cell::Number(-5i64 as u64));
        assert_eq!(gathered(Aggregate::Max(Sign::Unsigned), &[3, -5, 2]), Cell::Number(-5i64 as u64));
        let mean = gathered(Aggregate::Stats(Sign::Signed), &[-3, 1]);
        assert_eq!((mean.clone(), mean.number(Sign::Signed)), (Cell::Mean(2, -2i64 as u64), -1i64 as u64));
    }

    #[test]
    fn buckets_are_bpftraces() {
        let bits_0 = [-1, 0, 1, 2, 3, 4, 7, 8, i64::MAX].map(|value| power_bucket(value, 0));
        assert_eq!(bits_0, [0, 1, 2, 3, 3, 4, 4, 5, 64]);
        let bits_2 = [0, 3, 4, 7, 8, 9, 10, 224].map(|value| power_bucket(value, 2));
        assert_eq!(bits_2, [1, 4, 5, 8, 9, 9, 10, 28]);
        let linear = [-1, 0, 9, 10, 99, 100, 1000].map(|value| linear_bucket(value, 0, 100, 10));
        assert_eq!(linear, [0, 1, 1, 2, 10, 11, 11]);
    }

    #[test]
    fn a_full_map_keeps_its_keys_and_takes_no_more() {
        let mut map = Map::default();
        let room = room(1, WhenFull::Refuse);
        assert_eq!(map.set(Value::Number(1), Value::Number(1), room), Ok(()));
        assert_eq!(map.set(Value::Number(2), Value::Number(1), room), Err(Full));
        assert_eq!(map.set(Value::Number(1), Value::Number(5), room), Ok(()));
        assert!(map.delete(&Value::Number(1)) && !map.delete(&Value::Number(1)) && map.is_empty());
    }

    #[test]
    fn a_map_that_evicts_keeps_what_was_changed_last() {
        let mut map = Map::default();
        for key in [1, 2, 1, 3] {
            assert_eq!(map.set(Value::Number(key), Value::Number(key), room(2, WhenFull::Evict)), Ok(()));
        }
        assert!(map.find(&Value::Number(1)).is_some() && map.find(&Value::Number(3)).is_some() && map.len() == 2);
    }
}
