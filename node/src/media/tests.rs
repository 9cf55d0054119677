//! What an image says beside the picture goes; the picture stays byte for byte.

use std::io::Cursor;

use super::*;

const SECRET: &[u8] = b"N 52 31 12.0 E 13 24 36.0";

/// Exif with a place, and perhaps an orientation.
fn exif(turned: Option<u8>) -> Vec<u8> {
    let mut tiff =
        turned.map_or_else(|| b"MM\0*\0\0\0\x08\0\0\0\0\0\0".to_vec(), orientation::exif);
    tiff.extend_from_slice(SECRET);
    tiff
}

fn segment(marker: u8, contents: &[u8]) -> Vec<u8> {
    let length = u16::try_from(contents.len() + 2).unwrap().to_be_bytes();
    [&[0xff, marker][..], &length, contents].concat()
}

/// A JPEG in the order of a camera; returns it with and without what it says.
fn jpeg(turned: Option<u8>) -> (Vec<u8>, Vec<u8>) {
    let jfif = [&b"JFIF\0\x01\x01\0\0\x48\0\x48\x01\x01"[..], SECRET].concat();
    let plain_jfif = segment(0xe0, b"JFIF\0\x01\x01\0\0\x48\0\x48\0\0");
    let icc = segment(0xe2, b"ICC_PROFILE\0\x01\x01colours");
    let picture = [
        segment(0xdb, &[7; 65]),
        segment(0xc2, b"\x08\0\x10\0\x10\x01\x01\x11\0"),
        segment(0xc4, &[1; 20]),
        segment(0xda, b"\x01\x01\0\0\0\0"),
        b"scan\xff\0\xff\xd0more\xff\0".to_vec(),
        segment(0xc4, &[2; 20]),
        segment(0xda, b"\x01\x01\0\x01\x3f\0"),
        b"second scan".to_vec(),
    ]
    .concat();
    let said = [
        segment(0xe1, &[&b"Exif\0\0"[..], &exif(turned)].concat()),
        segment(0xe1, &[&b"http://ns.adobe.com/xap/1.0/\0"[..], SECRET].concat()),
        segment(0xed, &[&b"Photoshop 3.0\0"[..], SECRET].concat()),
        segment(0xe2, &[&b"MPF\0"[..], SECRET].concat()),
        segment(0xfe, SECRET),
    ]
    .concat();
    let stays = turned
        .filter(|turned| *turned > 1)
        .map(|turned| segment(0xe1, &[&b"Exif\0\0"[..], &orientation::exif(turned)].concat()));
    let (soi, eoi) = (vec![0xff, 0xd8], vec![0xff, 0xd9]);
    let after = [&[0xff, 0xd8][..], SECRET].concat();
    (
        [soi.clone(), segment(0xe0, &jfif), said, icc.clone(), picture.clone(), eoi.clone(), after]
            .concat(),
        [soi, plain_jfif, stays.unwrap_or_default(), icc, picture, eoi].concat(),
    )
}

fn chunk(kind: &[u8; 4], contents: &[u8]) -> Vec<u8> {
    let length = u32::try_from(contents.len()).unwrap().to_be_bytes();
    [&length[..], kind, contents, b"crc4"].concat()
}

fn png(turned: Option<u8>) -> (Vec<u8>, Vec<u8>) {
    let (head, body) = (chunk(b"IHDR", &[0; 13]), chunk(b"IDAT", &[9; 5000]));
    let (colours, end) = (chunk(b"iCCP", b"name\0\0zz"), chunk(b"IEND", b""));
    let said = [
        chunk(b"eXIf", &exif(turned)),
        chunk(b"tEXt", &[&b"Author\0"[..], SECRET].concat()),
        chunk(b"iTXt", &[&b"XML:com.adobe.xmp\0"[..], SECRET].concat()),
        chunk(b"tIME", &[7; 7]),
        chunk(b"prVt", SECRET),
    ]
    .concat();
    let stays = turned.filter(|turned| *turned > 1).map(|turned| {
        let checked = [&b"eXIf"[..], &orientation::exif(turned)].concat();
        let crc = crc(&checked).to_be_bytes();
        [&(u32::try_from(checked.len() - 4).unwrap()).to_be_bytes()[..], &checked, &crc].concat()
    });
    let signature = png::SIGNATURE.to_vec();
    let picture = [head, colours].concat();
    (
        [&signature[..], &picture, &said, &body, &end, SECRET].concat(),
        [&signature[..], &picture, &stays.unwrap_or_default(), &body, &end].concat(),
    )
}

/// The checksum by the polynomial division of its definition.
fn crc(bytes: &[u8]) -> u32 {
    let mut bits: Vec<bool> =
        bytes.iter().flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1 == 1)).collect();
    bits.extend([false; 32]);
    bits.iter_mut().take(32).for_each(|bit| *bit = !*bit);
    for at in 0..bits.len() - 32 {
        if bits[at] {
            for bit in (0..=32).filter(|bit| 0x1_04c1_1db7u64 >> (32 - bit) & 1 == 1) {
                bits[at + bit] ^= true;
            }
        }
    }
    let rest = &bits[bits.len() - 32..];
    !rest.iter().enumerate().fold(0, |sum, (at, bit)| sum | u32::from(*bit) << at)
}

fn riff(chunks: &[Vec<u8>]) -> Vec<u8> {
    let body = chunks.concat();
    let size = u32::try_from(body.len() + 4).unwrap().to_le_bytes();
    [&b"RIFF"[..], &size, b"WEBP", &body].concat()
}

fn part(kind: &[u8; 4], contents: &[u8]) -> Vec<u8> {
    let length = u32::try_from(contents.len()).unwrap().to_le_bytes();
    let padding = vec![0; contents.len() % 2];
    [&kind[..], &length, contents, &padding].concat()
}

fn webp(turned: Option<u8>) -> (Vec<u8>, Vec<u8>) {
    let head = |flags: u8| part(b"VP8X", &[&[flags][..], &[0; 9]].concat());
    let picture = part(b"VP8L", &[5; 1001]);
    let stays = turned.filter(|turned| *turned > 1);
    let mut plain = vec![head(if stays.is_some() { 0x18 } else { 0x10 }), picture.clone()];
    plain.extend(stays.map(|turned| part(b"EXIF", &orientation::exif(turned))));
    let said = [
        head(0x1c),
        picture,
        part(b"EXIF", &exif(turned)),
        part(b"XMP ", SECRET),
        part(b"ABCD", SECRET),
    ];
    ([riff(&said), SECRET.to_vec()].concat(), riff(&plain))
}

fn gif(_: Option<u8>) -> (Vec<u8>, Vec<u8>) {
    let head = [&b"GIF89a\x01\0\x01\0\x80\0\0"[..], &[0; 6]].concat();
    let loops = b"\x21\xff\x0bNETSCAPE2.0\x03\x01\0\0\0".to_vec();
    let control = b"\x21\xf9\x04\0\0\0\0\0".to_vec();
    let picture = b"\x2c\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0".to_vec();
    let comment = [&b"\x21\xfe\x19"[..], SECRET, b"\0"].concat();
    let xmp = [&b"\x21\xff\x0bXMP DataXMP\x19"[..], SECRET, b"\0"].concat();
    let end = vec![0x3b];
    (
        [&head[..], &comment, &loops, &xmp, &control, &picture, &end, SECRET].concat(),
        [&head[..], &loops, &control, &picture, &end].concat(),
    )
}

type Sample = fn(Option<u8>) -> (Vec<u8>, Vec<u8>);

const SAMPLES: [(Image, Sample); 4] =
    [(Image::Jpeg, jpeg), (Image::Png, png), (Image::Webp, webp), (Image::Gif, gif)];

fn clean(image: Image, bytes: &[u8]) -> Result<Vec<u8>, CopyError> {
    let mut out = Vec::new();
    image.copy(&mut Cursor::new(bytes), &mut out).map(|()| out)
}

#[test]
fn nothing_stays_but_the_picture_and_which_way_is_up() {
    for (image, sample) in SAMPLES {
        for turned in [None, Some(1), Some(6), Some(8), Some(9)] {
            let turned_right = turned.filter(|turned| *turned <= 8);
            let (said, plain) = (sample(turned).0, sample(turned_right).1);
            assert_eq!(Image::of(&said), Some(image));
            let cleaned = clean(image, &said).unwrap();
            assert_eq!(cleaned, plain, "{image:?} {turned:?}");
            assert!(!cleaned.windows(SECRET.len()).any(|part| part == SECRET));
            assert_eq!(clean(image, &cleaned).unwrap(), cleaned, "clean is clean");
        }
    }
}

#[test]
fn what_ends_too_early_or_is_twisted_is_refused_and_never_panics() {
    for (image, sample) in SAMPLES {
        let (said, plain) = sample(Some(6));
        for end in 0..plain.len() {
            assert!(matches!(clean(image, &plain[..end]), Err(CopyError::Malformed(_))), "{end}");
        }
        for at in 0..said.len() {
            let mut twisted = said.clone();
            twisted[at] ^= 0x55;
            let _ = clean(image, &twisted);
        }
    }
}

#[test]
fn images_are_told_by_their_bytes() {
    let of = |bytes: &[u8]| Image::of(bytes);
    assert_eq!(of(b"\0\0\0\x20ftypheic\0\0"), Some(Image::Other("HEIF")));
    assert_eq!(of(b"\0\0\0\x20ftypavif"), Some(Image::Other("AVIF")));
    assert_eq!(of(b"II*\0rest"), Some(Image::Other("TIFF")));
    assert_eq!(of(b"\0\0\0\x20ftypisom"), None, "a film");
    for other in [&b""[..], b"GIF", b"\xff\xd8", b"%PDF-1.7", b"RIFF\0\0\0\0WAVE", b"hello"] {
        assert_eq!(of(other), None, "{other:?}");
    }
}
