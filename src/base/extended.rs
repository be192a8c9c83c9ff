//! The registers beyond the general ones: x87, SSE, AVX, AVX-512, as the CPU saves them.

use super::VectorRegs;

/// Size of what fxsave saves, bytes.
pub const LEGACY_SIZE: usize = 512;
/// Where the header is that says which components are not in their initial state: right behind that.
const HEADER: usize = LEGACY_SIZE;
/// Where the kernel notes which components the image has, in what fxsave leaves to software.
const ENABLED: usize = 464;

/// A part of the image that is saved as a whole (Intel SDM, volume 1, 13.1), by its bit in XCR0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Component {
    /// Control words and st(0) to st(7).
    X87 = 0,
    /// mxcsr, and the low 128 bits of vector registers 0 to 15.
    Sse = 1,
    /// Their next 128 bits.
    Avx = 2,
    /// k0 to k7.
    Masks = 5,
    /// The upper 256 bits of vector registers 0 to 15.
    UpperZmm = 6,
    /// Vector registers 16 to 31.
    HigherZmm = 7,
}

/// Components whose place in the image the CPU tells.
const PLACED: [Component; 4] = [Component::Avx, Component::Masks, Component::UpperZmm, Component::HigherZmm];

/// Where components lie in the image, bytes from its start; `None` for what the CPU lacks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ComponentPlaces {
    places: [Option<usize>; 8],
}

impl ComponentPlaces {
    /// Asks `place_of` for each component that has no fixed place.
    pub fn new(place_of: impl Fn(Component) -> Option<usize>) -> ComponentPlaces {
        let mut places = [None; 8];
        for component in PLACED {
            places[component as usize] = place_of(component);
        }
        places[Component::X87 as usize] = Some(0);
        places[Component::Sse as usize] = Some(0);
        ComponentPlaces { places }
    }

    /// Whether the CPU has it.
    pub fn has(&self, component: Component) -> bool {
        self.places[component as usize].is_some()
    }
}

/// The saved image: fxsave's 512 bytes, and behind them, where the CPU has it, xsave's header and components in the
/// standard form (Intel SDM, volume 1, 13.4).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExtendedRegs {
    image: Vec<u8>,
    places: ComponentPlaces,
}

impl ExtendedRegs {
    /// An image as the kernel gives it; what it is short of fxsave's part reads as zeros.
    pub fn new(mut image: Vec<u8>, places: ComponentPlaces) -> ExtendedRegs {
        image.resize(image.len().max(LEGACY_SIZE), 0);
        ExtendedRegs { image, places }
    }

    /// The image, to be given to the kernel.
    pub fn image(&self) -> &[u8] {
        &self.image
    }

    /// Whether the image has a component.
    pub fn has(&self, component: Component) -> bool {
        let enabled = self.word(ENABLED);
        let is_legacy = matches!(component, Component::X87 | Component::Sse);
        is_legacy || (self.image.len() > HEADER && self.places.has(component) && enabled >> component as u64 & 1 == 1)
    }

    /// Bytes of a component, from so many behind its start; zeros where it is missing.
    pub fn read(&self, component: Component, offset: usize, into: &mut [u8]) {
        into.fill(0);
        if let Some(from) = self.range(component, offset, into.len()).and_then(|range| self.image.get(range)) {
            into.copy_from_slice(from);
        }
    }

    /// Changes bytes of a component; `None` where it is missing.
    pub fn write(&mut self, component: Component, offset: usize, bytes: &[u8]) -> Option<()> {
        let range = self.range(component, offset, bytes.len())?;
        self.image.get_mut(range)?.copy_from_slice(bytes);
        // What the header says to be in its initial state the kernel does not look at.
        if let Some(byte) = self.image.get_mut(HEADER) {
            *byte |= 1 << component as u8;
        }
        Some(())
    }

    fn range(&self, component: Component, offset: usize, length: usize) -> Option<std::ops::Range<usize>> {
        let start = self.places.places[component as usize].filter(|_| self.has(component))?.checked_add(offset)?;
        Some(start..start.checked_add(length)?)
    }

    fn word(&self, at: usize) -> u64 {
        let mut word = [0; 8];
        word.copy_from_slice(&self.image[at..at + 8]);
        u64::from_le_bytes(word)
    }

    /// The part that functions pass values in.
    pub fn vectors(&self) -> VectorRegs {
        let mut regs = VectorRegs::default();
        regs.st0.copy_from_slice(&self.image[32..48]);
        regs.st0[10..].fill(0);
        for (xmm, from) in regs.xmm.iter_mut().zip(self.image[160..416].chunks_exact(16)) {
            xmm.copy_from_slice(from);
        }
        regs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_are_read_and_written_where_the_cpu_has_them() {
        let places = ComponentPlaces::new(|one| (one == Component::Avx).then_some(576));
        let mut image = vec![0; 832];
        image[ENABLED] = 7;
        image[576] = 5;
        let mut regs = ExtendedRegs::new(image, places);
        let mut byte = [9];
        regs.read(Component::Avx, 0, &mut byte);
        assert_eq!(byte, [5]);
        assert!(regs.write(Component::Avx, 255, &[7]).is_some());
        assert_eq!((regs.image()[831], regs.image()[HEADER]), (7, 1 << 2));
        assert!(regs.write(Component::Avx, 256, &[7]).is_none());
        assert!(regs.write(Component::Masks, 0, &[7]).is_none());
        regs.read(Component::Masks, 0, &mut byte);
        assert_eq!(byte, [0]);
    }

    #[test]
    fn an_image_without_xsave_has_the_legacy_part_alone() {
        let places = ComponentPlaces::new(|_| Some(576));
        let mut regs = ExtendedRegs::new(vec![0; LEGACY_SIZE], places);
        assert!(regs.has(Component::Sse) && !regs.has(Component::Avx));
        assert!(regs.write(Component::Sse, 160, &[1; 16]).is_some());
        assert_eq!(regs.vectors().xmm[0], [1; 16]);
        assert!(regs.write(Component::Avx, 0, &[1]).is_none());
    }
}
