//! Words of memory that outlive the process: a file that is mapped, and that nobody has to write.
//!
//! What is stored there stands in the kernel's page cache at once, where it stays however the
//! process ends; what a machine that fails leaves of it is chance. To store costs what it costs in
//! other memory, but for the first time after the kernel has written the page to the disk.

use std::fs::File;
use std::io::{self, Write};
use std::sync::atomic::AtomicU64;

use crate::sys;

/// Fills a file with words of 0 and maps them, for as long as the process lives. The file should be
/// empty, and nobody else's: if it is cut short, a touch of what is gone ends the process.
///
/// # Errors
/// No room on the disk, or a file system whose files cannot be mapped.
pub fn map(mut file: &File, count: usize) -> io::Result<&'static [AtomicU64]> {
    // Written and not only set aside: to be filled in later, a page would need the file system to
    // change its books, and whoever touches it would wait for that.
    file.write_all(&vec![0; count * size_of::<AtomicU64>()])?;
    file.sync_all()?;
    sys::map_words(file, count)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;
    use std::sync::atomic::Ordering::Relaxed;

    #[test]
    fn what_is_stored_in_a_word_stands_in_the_file_and_the_other_way_round() {
        let file = tempfile::tempfile().unwrap();
        let words = map(&file, 1000).unwrap();
        assert_eq!(words.len(), 1000);
        assert_eq!(words[999].fetch_max(7, Relaxed), 0);
        let mut octets = [1; 8];
        file.read_exact_at(&mut octets, 999 * 8).unwrap();
        assert_eq!(u64::from_ne_bytes(octets), 7);
        file.write_all_at(&9u64.to_ne_bytes(), 8).unwrap();
        assert_eq!(words[1].load(Relaxed), 9);
        assert_eq!(file.metadata().unwrap().len(), 8000);
    }

    #[test]
    fn what_cannot_be_mapped_is_refused() {
        let device = File::options().write(true).open("/dev/null").unwrap();
        assert!(map(&device, 8).is_err());
    }
}
