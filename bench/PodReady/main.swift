import Lab

print("pod-ready")
