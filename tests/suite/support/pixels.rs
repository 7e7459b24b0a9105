//! Grey pixels as a camera sees them, and two decoders that read a QR code in them independently of each other.

#![expect(clippy::cast_possible_truncation, reason = "brightness and places in a picture")]

/// A picture.
#[derive(Clone)]
pub(crate) struct Pixels {
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// Brightness, line by line.
    pub(crate) luma: Vec<u8>,
}

impl Pixels {
    /// Makes a picture of one brightness.
    pub(crate) fn plain(width: usize, height: usize, brightness: u8) -> Self {
        Self { width, height, luma: vec![brightness; width * height] }
    }

    /// Makes a picture of the pixels that `at` gives.
    pub(crate) fn of(width: usize, height: usize, at: impl Fn(usize, usize) -> u8) -> Self {
        let luma = (0..width * height).map(|index| at(index % width, index / width)).collect();
        Self { width, height, luma }
    }

    /// Returns the brightness there; dark outside.
    pub(crate) fn at(&self, x: usize, y: usize) -> u8 {
        if x < self.width && y < self.height { self.luma[y * self.width + x] } else { 0 }
    }

    pub(crate) fn put(&mut self, x: usize, y: usize, brightness: u8) {
        if x < self.width && y < self.height {
            self.luma[y * self.width + x] = brightness;
        }
    }

    /// Returns it in another size, by the nearest pixel.
    pub(crate) fn resized(&self, width: usize, height: usize) -> Self {
        Self::of(width, height, |x, y| self.at(x * self.width / width, y * self.height / height))
    }

    /// Returns it turned by an angle in degrees around its middle.
    pub(crate) fn turned(&self, degrees: f64) -> Self {
        let (sin, cos) = degrees.to_radians().sin_cos();
        let (middle_x, middle_y) = (self.width as f64 / 2.0, self.height as f64 / 2.0);
        self.seen_from(|x, y| {
            let (x, y) = (x - middle_x, y - middle_y);
            (x * cos + y * sin + middle_x, y * cos - x * sin + middle_y)
        })
    }

    /// Returns it seen from the left: the right side is smaller by this share.
    pub(crate) fn slanted(&self, share: f64) -> Self {
        let middle = self.height as f64 / 2.0;
        self.seen_from(|x, y| {
            let depth = 1.0 - share * x / self.width as f64;
            (x / depth * (1.0 - share), middle + (y - middle) / depth)
        })
    }

    /// Returns it in another view. `from`: the source of the pixel at a place. Between pixels the brightness is mixed.
    fn seen_from(&self, from: impl Fn(f64, f64) -> (f64, f64)) -> Self {
        Self::of(self.width, self.height, |x, y| {
            let (x, y) = from(x as f64, y as f64);
            if x < 0.0 || y < 0.0 {
                return 0;
            }
            let (left, top) = (x.floor(), y.floor());
            let (right_share, low_share) = (x - left, y - top);
            let at = |x: f64, y: f64| f64::from(self.at(x as usize, y as usize));
            let upper = at(left, top) * (1.0 - right_share) + at(left + 1.0, top) * right_share;
            let lower = at(left, top + 1.0) * (1.0 - right_share) + at(left + 1.0, top + 1.0) * right_share;
            (upper * (1.0 - low_share) + lower * low_share).round() as u8
        })
    }

    /// Returns it out of focus: each pixel is the mean of those within `radius`.
    pub(crate) fn blurred(&self, radius: usize) -> Self {
        let mean = |line: &mut dyn Iterator<Item = u8>| {
            let (mut sum, mut count) = (0u32, 0);
            for brightness in line {
                (sum, count) = (sum + u32::from(brightness), count + 1);
            }
            (sum / count.max(1)) as u8
        };
        let range = |at: usize, end: usize| at.saturating_sub(radius)..(at + radius + 1).min(end);
        let across =
            Self::of(self.width, self.height, |x, y| mean(&mut range(x, self.width).map(|x| self.at(x, y))));
        Self::of(self.width, self.height, |x, y| mean(&mut range(y, self.height).map(|y| across.at(x, y))))
    }

    /// Decodes it by quirc's port in Rust.
    pub(crate) fn read_by_rqrr(&self) -> Option<String> {
        let mut image =
            rqrr::PreparedImage::prepare_from_greyscale(self.width, self.height, |x, y| self.at(x, y));
        image.detect_grids().into_iter().find_map(|grid| Some(grid.decode().ok()?.1))
    }

    /// Decodes it by ZXing's port in Rust.
    pub(crate) fn read_by_zxing(&self) -> Option<String> {
        let (width, height) = (u32::try_from(self.width).ok()?, u32::try_from(self.height).ok()?);
        let format = Some(rxing::BarcodeFormat::QR_CODE);
        let found = rxing::helpers::detect_in_luma(self.luma.clone(), width, height, format).ok()?;
        Some(found.getText().to_owned())
    }

    /// Decodes it by both; `None` when they differ.
    pub(crate) fn read(&self) -> Option<String> {
        let first = self.read_by_rqrr()?;
        (self.read_by_zxing()? == first).then_some(first)
    }
}
