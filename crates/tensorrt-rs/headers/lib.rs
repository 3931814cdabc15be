//! Empty: this manifest only names where headers come from.
