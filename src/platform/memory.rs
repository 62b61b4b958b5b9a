//! What the process's allocator does with memory that is freed.

/// Gives large blocks back to the system as soon as they are freed; called before there are threads.
///
/// Left alone, glibc raises its bound (mallopt(3), `M_MMAP_THRESHOLD`) to the largest block that was ever freed, up to 32 MiB, and
/// keeps what is below it for the thread that had it: each that ever hashed a password would hold on to 19 MiB or more.
pub fn give_back_large_blocks() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        const LARGE: libc::c_int = 1024 * 1024; // bytes
        // SAFETY: it stores a number in the allocator, which nobody else does.
        #[allow(unsafe_code)]
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
        }
    }
}

/// Gives back what is free between smaller blocks, which glibc keeps: two thirds of what the start took. Whoever allocates
/// meanwhile may wait a few milliseconds.
pub fn give_back_the_rest() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: any thread may call it at any time (malloc_trim(3)).
    #[allow(unsafe_code)]
    unsafe {
        libc::malloc_trim(0);
    }
}
