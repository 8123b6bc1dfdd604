"""What is heard: waveforms, sound files, peaks to draw, loudness to match."""
