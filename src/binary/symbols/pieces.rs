//! Work on a table's pieces, spread over the processors.

use rayon::prelude::*;

/// What `work` makes of each piece, in their order. A single piece is done here: threads that are woken for it look for
/// more for some time after, on the CPUs that a target which is being stopped needs to stop.
pub(super) fn map_pieces<P: Send, T: Send>(pieces: Vec<P>, work: impl Fn(P) -> T + Sync + Send) -> Vec<T> {
    match pieces.len() {
        0 | 1 => pieces.into_iter().map(work).collect(),
        _ => pieces.into_par_iter().map(work).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_kept_and_one_piece_is_done_by_the_caller() {
        let (twice, caller) = (|n: i32| n * 2, std::thread::current().id());
        assert_eq!(map_pieces(vec![3, 1, 2], twice), [6, 2, 4]);
        assert_eq!(map_pieces(vec![()], |()| std::thread::current().id()), [caller]);
        assert!(map_pieces(Vec::new(), twice).is_empty());
    }
}
