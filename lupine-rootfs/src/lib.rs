//! Container images to ext2 root file systems
