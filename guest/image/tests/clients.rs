//! Registries' clients read names of images as they are read here.

use linkgate_image::Image;
use oci_spec::distribution::Reference;

/// An image as registries' clients take it.
fn reference(image: &Image) -> Reference {
    let (registry, repository) = (image.registry().to_owned(), image.repository().to_owned());
    match image.digest() {
        Some(digest) => Reference::with_digest(registry, repository, digest.to_string()),
        None => Reference::with_tag(registry, repository, image.tag().unwrap_or("latest").to_owned()),
    }
}

/// An image that registries' clients read, in the one form that names of images have here.
fn read_by_clients(text: &str) -> Option<Reference> {
    let read: Reference = text.parse().ok()?;
    let host = read.registry().to_lowercase();
    let registry = match host.strip_suffix(":443").unwrap_or(&host) {
        "index.docker.io" | "registry-1.docker.io" | "registry.hub.docker.com" => "docker.io",
        other => other,
    };
    let repository = match read.repository() {
        name if registry == "docker.io" && !name.contains('/') => format!("library/{name}"),
        name => name.to_owned(),
    };
    Some(match read.digest() {
        Some(digest) => Reference::with_digest(registry.to_owned(), repository, digest.to_owned()),
        None => Reference::with_tag(registry.to_owned(), repository, read.tag()?.to_owned()),
    })
}

/// Hosts, repositories, and tags with digests, good and bad ones; `~` is a blank.
const HOSTS: &str = "/ r.example/ R.Example/ r.example:443/ r.example:5000/ r.example:05000/ r.example:/ \
    r.example:443:443/ r.example./ .r.example/ r..example/ -r.example/ r-.example/ r_x.example/ r.example:70000/ \
    r.example:-1/ r:5000/ r:443/ r/ R/ localhost/ LOCALHOST/ localhost:443/ LocalHost:5000/ localhost./ 127.0.0.1/ \
    127.0.0.1:5000/ [::1]/ [::1]:5000/ docker.io/ Docker.io/ docker.io:443/ docker.io:5000/ index.docker.io/ \
    registry-1.docker.io/ registry.hub.docker.com/ xn--n3h.example/ \u{e9}.example/ https://r.example/ ~r.example/ @/ :/";
const REPOSITORIES: &str = "a app a/b a/b/c/d library/a A a/B a.b a_b a__b a___b a-b a--b a---b a._b a_-b a..b -a a- .a \
    a. _a a/ /a a//b a/../b a~b a~ \u{e9} a%2f v2/a localhost/a r.example/a";
const TAGS: &str = ": :1 :latest :1.27-alpine_3 :UPPER :_a :.a :-a :a:b :a/b :5000 :\u{e9} :a~ @ @sha256: @sha256:0a ~";

/// Those, and nothing.
fn texts(list: &str) -> Vec<String> {
    let texts = list.split(' ').map(|text| text.replace('~', " "));
    texts.chain([String::new()]).collect()
}

/// What may follow a name, with digests of all lengths.
fn ends() -> Vec<String> {
    let mut ends = texts(TAGS);
    for (algorithm, digits) in [
        ("sha256", 64),
        ("sha384", 96),
        ("sha512", 128),
        ("sha224", 64),
        ("sha256", 65),
    ] {
        let digest = format!("@{algorithm}:{}", "a".repeat(digits));
        ends.extend([format!(":1{digest}"), format!(":{digest}"), format!("{digest}{digest}")]);
        ends.extend([digest.to_uppercase(), digest]);
    }
    ends.extend([128, 129].map(|length| format!(":{}", "a".repeat(length))));
    ends
}

#[test]
fn clients_read_images_as_they_are_read_here() {
    let mut names: Vec<String> = [
        ("docker.io/", 247),
        ("docker.io/", 248),
        ("r.example/", 255),
        ("r.example/", 256),
    ]
    .map(|(host, length)| format!("{host}{}", "a".repeat(length)))
    .into();
    let (hosts, repositories, ends) = (texts(HOSTS), texts(REPOSITORIES), ends());
    for host in &hosts {
        names.extend(repositories.iter().map(|repository| format!("{host}{repository}")));
    }
    let mut read = 0;
    for text in names
        .iter()
        .flat_map(|name| ends.iter().map(move |end| format!("{name}{end}")))
    {
        if let Ok(image) = text.parse::<Image>() {
            assert_eq!(read_by_clients(&text), Some(reference(&image)), "{text:?}");
            assert_eq!(image.to_string().parse(), Ok(image), "{text:?}");
            read += 1;
        }
    }
    assert!(read > 2_000, "{read}");
}
