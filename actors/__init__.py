"""The Ray actors: hosts that carry executions, runners and launchers that do steps, the scheduler.

They translate and order; what a workflow does next is decided in `heliostat.engine`, the only
package of ours that may be imported here. Classes are plain and testable without Ray; the options
of `ray.remote` are spelled out where the class is made remote. Start reading at `host/`, whose
turn is: gather, decide, commit, then act.
"""
