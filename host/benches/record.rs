//! How fast trees are recorded: `cargo bench --profile dist -p linkgate --bench record`.

use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};

use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime};
use linkgate::record::collect::{Options, collect};
use linkgate::record::exclude::{self, Exclude};
use linkgate::record::hash::{self, Content};
use linkgate::record::path::Naming;
use tempfile::TempDir;

/// A hundred files a folder, no two alike.
fn tree(files: u32, size: usize) -> TempDir {
    let root = tempfile::tempdir().expect("a temporary folder");
    for number in 0..files {
        let folder = root.path().join(format!("d{:04}", number / 100));
        fs::create_dir_all(&folder).expect("a folder");
        let mut bytes = vec![0x5a; size];
        let (head, _) = bytes.split_at_mut(4);
        head.copy_from_slice(&number.to_le_bytes());
        fs::write(folder.join(format!("f{number:06}")), bytes).expect("a file");
    }
    root
}

fn options(base: PathBuf, content: Content) -> Options {
    Options {
        base,
        exclude: Exclude::new(exclude::DEFAULT).expect("the default patterns"),
        naming: Naming::default(),
        follow_folders: false,
        content,
        lenient: false,
        without_keys: false,
    }
}

fn record(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, root: &Path, content: Content) {
    let options = options(root.to_owned(), content);
    let here = [".".to_owned()];
    group.bench_function(name, |bencher| {
        bencher.iter(|| black_box(collect(&here, &options).expect("a tree that stands still")));
    });
}

fn trees(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("record");
    group.sample_size(10);
    let small = tree(10_000, 4 << 10);
    group.throughput(Throughput::Elements(10_000));
    record(&mut group, "10,000 files of 4 KiB", small.path(), Content::Exact);
    record(
        &mut group,
        "10,000 files of 4 KiB, line endings",
        small.path(),
        Content::UnixLines,
    );
    let large = tree(4, 50 << 20);
    group.throughput(Throughput::Bytes(200 << 20));
    record(&mut group, "4 files of 50 MiB", large.path(), Content::Exact);
    let one = large.path().join("d0000/f000000");
    group.throughput(Throughput::Bytes(50 << 20));
    group.bench_function("one file of 50 MiB", |bencher| {
        bencher.iter(|| black_box(hash::file(&one, Content::Exact).expect("a file that stands still")));
    });
    group.finish();
}

criterion_group!(benches, trees);
criterion_main!(benches);
