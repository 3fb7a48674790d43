package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"holdfast/internal/dev/testkit/chromium"
	"holdfast/internal/dev/testservice"
)

// stepLimit is how long one step in the browser may take.
const stepLimit = 60 * time.Second

// mostPixels is the maximum height of a picture, from the top of the page.
const mostPixels = 2400

// look is how a page is pictured: its width in CSS pixels, and its colour scheme.
type look struct {
	width  int64
	scheme string // prefers-color-scheme
}

var (
	wide  = look{1200, "light"}
	dark  = look{1200, "dark"}
	phone = look{375, "light"}
)

// camera is a headless Chromium with one tab. After a step that failed it takes no more.
type camera struct {
	ctx   context.Context
	close func() error
	site  string // the address of the application
	err   error  // of the step that failed
}

func openCamera(ctx context.Context, profile string) (*camera, error) {
	program := testservice.Installed(chromium.Programs()...)
	if program == "" {
		return nil, errors.New("no Chromium is installed")
	}
	tab, end, err := chromium.Start(ctx, program, profile, chromedp.Flag("hide-scrollbars", true), chromedp.Flag("disable-lcd-text", true))
	if err != nil {
		return nil, err
	}
	return &camera{ctx: tab, close: end}, nil
}

// step takes one step, with the context of the tab.
func (c *camera) step(what string, take func(context.Context) error) {
	if c.err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(c.ctx, stepLimit)
	defer cancel()
	if err := take(ctx); err != nil {
		c.err = fmt.Errorf("%s: %w", what, err)
	}
}

func (c *camera) do(what string, actions ...chromedp.Action[chromedp.Void]) {
	c.step(what, func(ctx context.Context) error { return chromedp.Do(ctx, actions...) })
}

func (c *camera) open(path string) {
	c.do("open "+path, chromedp.Navigate(c.site+path), chromedp.WaitVisible(chromedp.CSS("h1")))
}

// picture writes a picture of the open page to docs/pictures.
func (c *camera) picture(name string, as look) { c.part(name, as, "html", 0) }

// part writes a picture of one element of the open page, with a margin of around
// pixels.
func (c *camera) part(name string, as look, selector string, around int) {
	c.write(filepath.Join(pictures, name+".png"), func(ctx context.Context) ([]byte, error) {
		return take(ctx, as, selector, around)
	})
}

// frame writes a picture of the open page in a window of this size, in CSS pixels times
// scale, to a file that the site serves.
func (c *camera) frame(name string, width, height int64, scale float64) {
	c.write(filepath.Join(served, name+".png"), func(ctx context.Context) ([]byte, error) {
		return shoot(ctx, width, height, scale)
	})
}

func (c *camera) write(file string, take func(context.Context) ([]byte, error)) {
	c.step("picture "+file, func(ctx context.Context) error {
		taken, err := take(ctx)
		if err == nil {
			taken, err = compress(taken)
		}
		if err != nil {
			return err
		}
		fmt.Printf("%s  %d bytes\n", file, len(taken))
		return os.WriteFile(file, taken, 0o644)
	})
}

func shoot(ctx context.Context, width, height int64, scale float64) ([]byte, error) {
	if _, err := chromedp.Call(ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: width, Height: height, DeviceScaleFactor: scale,
	}); err != nil {
		return nil, err
	}
	shot, err := chromedp.Call(ctx, page.CaptureScreenshot, page.CaptureScreenshotParams{})
	return shot.Data, err
}

func take(ctx context.Context, as look, selector string, around int) ([]byte, error) {
	if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: as.scheme},
			{Name: "prefers-reduced-motion", Value: "reduce"},
		},
	}); err != nil {
		return nil, err
	}
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(as.width, 800)); err != nil {
		return nil, err
	}
	at, err := chromedp.Run(ctx, chromedp.Evaluate[image.Rectangle](fmt.Sprintf(`(() => {
		const r = document.querySelector(%q).getBoundingClientRect()
		const x = Math.floor(r.left + scrollX), y = Math.floor(r.top + scrollY)
		return {Min: {X: x, Y: y}, Max: {X: x + Math.ceil(r.width), Y: y + Math.ceil(r.height)}}
	})()`, selector)))
	if err != nil {
		return nil, err
	}
	at = at.Inset(-around)
	shot, err := chromedp.Call(ctx, page.CaptureScreenshot, page.CaptureScreenshotParams{
		CaptureBeyondViewport: new(true),
		Clip: &page.Viewport{
			X: float64(at.Min.X), Y: float64(at.Min.Y),
			Width: float64(at.Dx()), Height: float64(min(at.Dy(), mostPixels)), Scale: 1,
		},
	})
	return shot.Data, err
}

// compress encodes a PNG again, as small as possible without losing a pixel: with a
// palette, a page with few colours takes a third of the size.
func compress(taken []byte) ([]byte, error) {
	decoded, err := png.Decode(bytes.NewReader(taken))
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	if err := encoder.Encode(&out, withPalette(decoded)); err != nil {
		return nil, err
	}
	if out.Len() > len(taken) {
		return taken, nil
	}
	return out.Bytes(), nil
}

// withPalette returns the same picture with a palette if 256 colours are enough.
func withPalette(from image.Image) image.Image {
	bounds := from.Bounds()
	to := image.NewPaletted(bounds, nil)
	places := map[color.RGBA]uint8{}
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			seen := color.RGBAModel.Convert(from.At(x, y)).(color.RGBA)
			place, known := places[seen]
			if !known {
				if len(places) == 256 {
					return from
				}
				place = uint8(len(places))
				places[seen] = place
				to.Palette = append(to.Palette, seen)
			}
			to.SetColorIndex(x, y, place)
		}
	}
	return to
}
