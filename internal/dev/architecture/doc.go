// Package architecture holds no code: its tests keep the shape of the module,
// which package may know which, and what no package may have. It must not be
// imported.
package architecture
