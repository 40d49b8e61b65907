"""The parts of the demo scene, which make_scene.py renders: drawing, ground, objects, sites, plan."""
